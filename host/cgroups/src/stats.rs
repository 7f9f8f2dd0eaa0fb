use std::path::Path;

use wharf_error::{Result, ResultExt as _};

use crate::{Cgroup, Controller, cgroup::Slot, file};

const OOM_CONTROL: &str = "memory.oom_control";

/// What a cgroup, with those below, has used. What the node cannot tell is 0.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuUsage,
    /// Memory and swap.
    pub memory: MemoryUsage,
    /// Processes and threads.
    pub pids: PidsUsage,
    /// Block devices.
    pub io: IoUsage,
}

/// Processor time, nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CpuUsage {
    /// User and system time together.
    pub total_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Periods of a quota that have passed.
    pub periods: u64,
    /// Periods in which the quota ran out.
    pub throttled_periods: u64,
    /// How long processes waited for the next period.
    pub throttled_ns: u64,
}

/// Memory, bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MemoryUsage {
    /// Everything that is charged: anonymous, page cache, kernel.
    pub usage: u64,
    /// The most that it ever was.
    pub max_usage: u64,
    /// The limit; `u64::MAX` and near it: none.
    pub limit: u64,
    /// Anonymous memory.
    pub rss: u64,
    /// Page cache.
    pub cache: u64,
    /// Page cache that may be dropped at once.
    pub inactive_file: u64,
    /// `usage` without `inactive_file`: what the kubelet calls the working set.
    pub working_set: u64,
    /// Swap in use, without memory.
    pub swap_usage: u64,
    /// The limit of swap without memory; `u64::MAX`: none or not known.
    pub swap_limit: u64,
    /// Page faults.
    pub page_faults: u64,
    /// Page faults that waited for a disk.
    pub major_page_faults: u64,
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PidsUsage {
    /// How many there are.
    pub current: u64,
    /// How many there may be; `u64::MAX`: no limit.
    pub limit: u64,
}

/// Block devices, all together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct IoUsage {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

// === impl Cgroup ===

impl Cgroup {
    /// Everything at once: some dozen small reads.
    pub fn stats(&self) -> Result<Stats> {
        Ok(Stats {
            cpu: self.cpu_usage()?,
            memory: self.memory_usage()?,
            pids: self.pids_usage()?,
            io: self.io_usage()?,
        })
    }

    /// Processor time used.
    pub fn cpu_usage(&self) -> Result<CpuUsage> {
        let mut usage = CpuUsage::default();
        if let Some(dir) = self.unified().filter(|_| self.slot(Controller::Cpuacct).is_none()) {
            let stat = file::read(&dir.join("cpu.stat")).step(|| format!("cgroup {}", self.path()))?;
            let micros = |key: &str| file::keyed(&stat, key).unwrap_or(0) * 1000;
            usage.total_ns = micros("usage_usec");
            usage.user_ns = micros("user_usec");
            usage.system_ns = micros("system_usec");
            usage.throttled_ns = micros("throttled_usec");
            usage.periods = file::keyed(&stat, "nr_periods").unwrap_or(0);
            usage.throttled_periods = file::keyed(&stat, "nr_throttled").unwrap_or(0);
            return Ok(usage);
        }
        if let Some(account) = self.slot(Controller::Cpuacct) {
            usage.total_ns = account.number("cpuacct.usage")?;
            usage.user_ns = account.number("cpuacct.usage_user")?;
            usage.system_ns = account.number("cpuacct.usage_sys")?;
        }
        if let Some(cpu) = self.slot(Controller::Cpu) {
            usage.periods = cpu.keyed("cpu.stat", "nr_periods")?;
            usage.throttled_periods = cpu.keyed("cpu.stat", "nr_throttled")?;
            usage.throttled_ns = cpu.keyed("cpu.stat", "throttled_time")?;
        }
        Ok(usage)
    }

    /// Memory in use.
    pub fn memory_usage(&self) -> Result<MemoryUsage> {
        let Some(slot) = self.slot(Controller::Memory) else { return Ok(MemoryUsage::default()) };
        let mut usage = if slot.v2 { memory_v2(&slot)? } else { memory_v1(&slot)? };
        usage.working_set = usage.usage.saturating_sub(usage.inactive_file);
        Ok(usage)
    }

    /// How often the kernel has killed a process in it, or below, for want of memory.
    pub fn oom_kills(&self) -> Result<u64> {
        match self.slot(Controller::Memory) {
            None => Ok(0),
            Some(slot) if slot.v2 => slot.keyed("memory.events", "oom_kill"),
            Some(slot) => {
                let path = slot.dir.join(OOM_CONTROL);
                kills_v1(&slot.dir, &file::try_read(&path).step(|| format!("read {}", path.display()))?)
            }
        }
    }

    fn pids_usage(&self) -> Result<PidsUsage> {
        let Some(slot) = self.slot(Controller::Pids) else { return Ok(PidsUsage::default()) };
        Ok(PidsUsage { current: slot.number("pids.current")?, limit: slot.number("pids.max")? })
    }

    fn io_usage(&self) -> Result<IoUsage> {
        let mut usage = IoUsage::default();
        let Some(slot) = self.slot(Controller::Io) else { return Ok(usage) };
        if slot.v2 {
            for field in slot.read("io.stat")?.split_whitespace() {
                let Some((key, value)) = field.split_once('=') else { continue };
                let value = value.parse::<u64>().unwrap_or(0);
                match key {
                    "rbytes" => usage.read_bytes += value,
                    "wbytes" => usage.write_bytes += value,
                    "rios" => usage.reads += value,
                    "wios" => usage.writes += value,
                    _ => {}
                }
            }
            return Ok(usage);
        }
        for (name, read, write) in [
            ("blkio.throttle.io_service_bytes_recursive", &mut usage.read_bytes, &mut usage.write_bytes),
            ("blkio.throttle.io_serviced_recursive", &mut usage.reads, &mut usage.writes),
        ] {
            if !slot.has(name) {
                continue;
            }
            for line in slot.read(name)?.lines() {
                let mut words = line.split_whitespace().skip(1);
                match (words.next(), words.next().and_then(|value| value.parse::<u64>().ok())) {
                    (Some("Read"), Some(value)) => *read += value,
                    (Some("Write"), Some(value)) => *write += value,
                    _ => {}
                }
            }
        }
        Ok(usage)
    }
}

fn memory_v1(slot: &Slot) -> Result<MemoryUsage> {
    let stat = slot.read("memory.stat")?;
    let of = |key: &str| file::keyed(&stat, key).unwrap_or(0);
    let mut usage = MemoryUsage {
        usage: slot.number("memory.usage_in_bytes")?,
        max_usage: slot.number("memory.max_usage_in_bytes")?,
        limit: slot.number("memory.limit_in_bytes")?,
        rss: of("total_rss"),
        cache: of("total_cache"),
        inactive_file: of("total_inactive_file"),
        page_faults: of("total_pgfault"),
        major_page_faults: of("total_pgmajfault"),
        swap_limit: u64::MAX,
        ..MemoryUsage::default()
    };
    if slot.has("memory.memsw.usage_in_bytes") {
        usage.swap_usage = slot.number("memory.memsw.usage_in_bytes")?.saturating_sub(usage.usage);
        usage.swap_limit = slot.number("memory.memsw.limit_in_bytes")?.saturating_sub(usage.limit);
    }
    Ok(usage)
}

fn memory_v2(slot: &Slot) -> Result<MemoryUsage> {
    let stat = slot.read("memory.stat")?;
    let of = |key: &str| file::keyed(&stat, key).unwrap_or(0);
    let optional = |name: &str, absent: u64| if slot.has(name) { slot.number(name) } else { Ok(absent) };
    Ok(MemoryUsage {
        usage: slot.number("memory.current")?,
        max_usage: optional("memory.peak", 0)?,
        limit: slot.number("memory.max")?,
        rss: of("anon"),
        cache: of("file"),
        inactive_file: of("inactive_file"),
        swap_usage: optional("memory.swap.current", 0)?,
        swap_limit: optional("memory.swap.max", u64::MAX)?,
        page_faults: of("pgfault"),
        major_page_faults: of("pgmajfault"),
        ..MemoryUsage::default()
    })
}

/// All kills in a cgroup of v1, whose `memory.oom_control` says this, and in those below; one that goes meanwhile has none.
pub(crate) fn kills_v1(dir: &Path, control: &str) -> Result<u64> {
    let mut kills = file::keyed(control, "oom_kill").unwrap_or(0);
    for child in file::children(dir)? {
        let path = child.join(OOM_CONTROL);
        match file::try_read(&path) {
            Err(error) if file::is_gone(&error) => {}
            control => kills += kills_v1(&child, &control.step(|| format!("read {}", path.display()))?)?,
        }
    }
    Ok(kills)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Own, fake_v2};
    use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn a_kill_for_want_of_memory_is_counted() {
        let own = Own::new("oom");
        let memory = LinuxMemoryBuilder::default().limit(16 << 20).swap(16 << 20).build().unwrap();
        own.cgroup.apply(&LinuxResourcesBuilder::default().memory(memory).build().unwrap()).unwrap();
        assert_eq!(own.cgroup.oom_kills().unwrap(), 0);
        let mut greedy = own.shell(&own.cgroup, "exec head -c 200000000 /dev/zero | tail");
        let status = greedy.wait().unwrap();
        assert!(status.signal() == Some(9) || !status.success(), "{status:?}");
        assert!(own.cgroup.oom_kills().unwrap() >= 1);
    }

    #[test]
    fn use_is_seen() {
        let own = Own::new("stats");
        let mut busy =
            own.shell(&own.cgroup, "s=$(seq 50000); i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 600");
        let mut stats = own.cgroup.stats().unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        // Small amounts of memory are counted late.
        while stats.cpu.total_ns < 1_000_000 || stats.memory.usage == 0 {
            assert!(std::time::Instant::now() < end, "{stats:?}");
            stats = own.cgroup.stats().unwrap();
        }
        assert!(stats.pids.current >= 1, "{stats:?}");
        assert!(stats.memory.working_set <= stats.memory.usage, "{stats:?}");
        busy.kill().unwrap();
        busy.wait().unwrap();
    }

    #[test]
    fn v2_events_and_stat_are_read() {
        let (own, cgroup) = fake_v2(&[]);
        let put = |name: &str, text: &str| std::fs::write(own.path().join("c").join(name), text).unwrap();
        put("memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\n");
        put("cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\nthrottled_usec 4\n");
        put("io.stat", "254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:0 rbytes=5\n");
        assert_eq!(cgroup.oom_kills().unwrap(), 3);
        let cpu = cgroup.cpu_usage().unwrap();
        assert_eq!((cpu.total_ns, cpu.throttled_ns, cpu.periods), (5000, 4000, 7));
        assert_eq!(cgroup.io_usage().unwrap().read_bytes, 15);
    }
}
