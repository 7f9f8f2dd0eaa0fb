use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags};
use serde_json::{Value, json};
use wharf_cgroups::{Cgroup, OomSignal, OomWatch, Stats};
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    cgroup,
    init::wait_for_any,
    out::{Stop, outln},
    status::{Status, look},
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// Print once
    #[arg(long)]
    stats: bool,
    /// Print so often, as 500ms, 5s or 1m
    #[arg(long, default_value = "5s")]
    interval: String,
    /// The container
    id: String,
}

/// Prints what the container uses, an object a line as runc does, once or until it ends; and, until then, each time that
/// memory runs out.
pub(crate) fn run(flags: &Flags, store: &Store) -> Result<u8, Stop> {
    let interval = duration(&flags.interval)?;
    let (folder, record) = store.container(&flags.id)?;
    let found = look(&folder, &record)?;
    let Some(init) = found.init.filter(|_| found.status != Status::Stopped) else {
        return Err(found.status.refuses(&flags.id, "read statistics of").into());
    };
    let group = cgroup::open(&record.cgroup)?;
    let mut memory = if flags.stats { None } else { Memory::watch(&group)? };
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            next = Instant::now() + interval;
            let stats = group.stats().step(|| format!("container {}", flags.id))?;
            outln!("{}", json!({ "type": "stats", "id": flags.id, "data": data(&stats) }))?;
            if flags.stats {
                return Ok(0);
            }
        }
        let ended = wait(&init, memory.as_ref(), next)?;
        // Also at its end: what killed its first process is news.
        if let Some(watched) = &mut memory {
            match watched.ran_out()? {
                Some(true) => outln!("{}", json!({ "type": "oom", "id": flags.id }))?,
                Some(false) => {}
                None => memory = None,
            }
        }
        if ended {
            return Ok(0);
        }
    }
}

/// The container's want of memory since these events began.
struct Memory {
    watch: OomWatch,
    told: u64,
    again: Option<Instant>,
}

impl Memory {
    /// `None` where memory is not controlled.
    fn watch(group: &Cgroup) -> Result<Option<Self>> {
        let Some(watch) = group.watch_oom()? else { return Ok(None) };
        Ok(Some(Self { watch, told: group.oom_kills()?, again: None }))
    }

    /// Whether there is something to tell; `None` once the cgroup is gone.
    fn ran_out(&mut self) -> Result<Option<bool>> {
        let Some(news) = self.watch.look()? else { return Ok(None) };
        let more = news.kills > self.told || news.stalled;
        self.told = news.kills;
        self.again = news.again.map(|pause| Instant::now() + pause);
        Ok(Some(more))
    }
}

/// Waits for the process, for a word about memory, or until it is time. Whether the process has ended.
fn wait(init: &OwnedFd, memory: Option<&Memory>, next: Instant) -> Result<bool> {
    let mut waiting = vec![PollFd::new(init, PollFlags::IN)];
    let mut until = next;
    if let Some(memory) = memory {
        let flags = match memory.watch.signal() {
            OomSignal::Readable => PollFlags::IN,
            OomSignal::Priority => PollFlags::PRI,
        };
        waiting.push(PollFd::new(&memory.watch, flags));
        until = memory.again.map_or(next, |again| again.min(next));
    }
    wait_for_any(&mut waiting, until)?;
    Ok(!waiting[0].revents().is_empty())
}

fn data(stats: &Stats) -> Value {
    let memory = &stats.memory;
    let pids = if stats.pids.limit == u64::MAX { 0 } else { stats.pids.limit };
    json!({
        "cpu": {
            "usage": { "total": stats.cpu.total_ns, "kernel": stats.cpu.system_ns, "user": stats.cpu.user_ns },
            "throttling": {
                "periods": stats.cpu.periods,
                "throttledPeriods": stats.cpu.throttled_periods,
                "throttledTime": stats.cpu.throttled_ns,
            },
        },
        "memory": {
            "cache": memory.cache,
            "usage": { "limit": memory.limit, "usage": memory.usage, "max": memory.max_usage, "failcnt": 0 },
            "swap": {
                "limit": memory.limit.saturating_add(memory.swap_limit),
                "usage": memory.usage.saturating_add(memory.swap_usage),
                "failcnt": 0,
            },
            "raw": { "rss": memory.rss, "cache": memory.cache, "inactive_file": memory.inactive_file,
                     "pgfault": memory.page_faults, "pgmajfault": memory.major_page_faults },
        },
        "pids": { "current": stats.pids.current, "limit": pids },
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

/// A number and its unit.
fn duration(text: &str) -> Result<Duration> {
    let bad = || Error::invalid(format!("interval {text:?} is none: 500ms, 5s and 1m are"));
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    millis.filter(|millis| *millis > 0).map(Duration::from_millis).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(duration("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        for bad in ["", "5", "s", "0s", "-1s", "5h", "18446744073709551615m"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
