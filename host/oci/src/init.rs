use std::{
    fs, io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::store::Init;

// === impl Init ===

impl Init {
    /// A process that is there.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let (_, start) = look(pid).ok_or_else(|| Error::new(Kind::FailedPrecondition, "the process has ended"))?;
        Ok(Self { pid, start })
    }

    /// The process, unless it has ended. One that has, and is not reaped by its parent yet, has ended.
    pub(crate) fn open(&self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(io::Error::from(error)).step(|| format!("open process {}", self.pid)),
        };
        // Looked at after it was opened: the number is still its own.
        let alive =
            look(self.pid).is_some_and(|(state, start)| start == self.start && !matches!(state, 'Z' | 'X' | 'x'));
        Ok(alive.then_some(pidfd))
    }
}

/// Sends a signal by its number, also a real-time one.
pub(crate) fn send(pidfd: &OwnedFd, signal: Signal) -> Result<()> {
    match pidfd_send_signal(pidfd, signal) {
        Err(Errno::SRCH) => Err(Error::new(Kind::NotFound, "container not running")),
        other => other.map_err(io::Error::from).step(|| format!("send signal {}", signal.as_raw())),
    }
}

/// Whether the process ends in time.
pub(crate) fn ends(pidfd: &OwnedFd, patience: Duration) -> Result<bool> {
    let mut waiting = [PollFd::new(pidfd, PollFlags::IN)];
    wait_for_any(&mut waiting, Instant::now() + patience)?;
    Ok(!waiting[0].revents().is_empty())
}

/// Waits until any of them is ready, or it is time; each says by its `revents` whether it is ready.
pub(crate) fn wait_for_any(waiting: &mut [PollFd<'_>], until: Instant) -> Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(waiting, Some(&left)) {
            Err(Errno::INTR) => {}
            other => return other.map(drop).map_err(io::Error::from).step(|| "wait for a container".into()),
        }
    }
}

/// Its state and its start, out of `/proc/PID/stat`.
fn look(pid: i32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in front may hold anything, also parentheses.
    let mut rest = stat.get(stat.rfind(')')?.checked_add(2)?..)?.split(' ');
    let state = rest.next()?.chars().next()?;
    Some((state, rest.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = Init::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.open().unwrap().is_some());
        assert!(Init { start: own.start + 1, ..own }.open().unwrap().is_none(), "another with the same number");
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let init = Init::of(i32::try_from(child.id()).unwrap()).unwrap();
        let pidfd = init.open().unwrap().unwrap();
        assert!(!ends(&pidfd, Duration::ZERO).unwrap());
        send(&pidfd, Signal::KILL).unwrap();
        assert!(ends(&pidfd, Duration::from_secs(30)).unwrap());
        assert!(init.open().unwrap().is_none(), "it has ended, though nobody has reaped it");
        child.wait().unwrap();
        assert!(Init::of(init.pid).is_err());
    }
}
