use std::time::Duration;

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use wharf_error::{Error, Result, ResultExt as _};

use crate::{Cgroup, file};

/// A fork bomb outruns a list of processes; so many lists in a row it does not.
const SWEEPS: usize = 32;

/// How long processes may take to freeze before they are signalled as they run.
const FREEZE: Duration = Duration::from_millis(50);

impl Cgroup {
    /// Sends the signal to every process in it and below. An empty or absent cgroup is success.
    ///
    /// SIGKILL reaches also what is forked meanwhile; it does not wait for the processes to end. Only
    /// signals with a name of their own: `InvalidArgument` for others.
    pub fn kill(&self, signal: i32) -> Result<()> {
        let named = Signal::from_named_raw(signal)
            .ok_or_else(|| Error::invalid(format!("cgroup {}: no signal {signal}", self.path())))?;
        if named != Signal::KILL {
            return self.signal_all(named).map(drop);
        }
        if let Some(unified) = self.unified().map(|dir| dir.join("cgroup.kill"))
            && let Err(error) = file::write(&unified, "1")
            && !file::is_gone(&error)
        {
            tracing::debug!(cgroup = self.path(), %error, "cgroup.kill refused, killing one by one");
        }
        // Frozen processes cannot fork, and their numbers cannot be given to others.
        let frozen = self.freeze(FREEZE).is_ok();
        let mut swept = Ok(0);
        for _ in 0..SWEEPS {
            swept = self.signal_all(named);
            if frozen || !matches!(swept, Ok(1..)) {
                break;
            }
        }
        // v1's freezer holds even SIGKILL back.
        let thawed = self.thaw();
        swept?;
        thawed
    }

    fn signal_all(&self, signal: Signal) -> Result<usize> {
        let mut signalled = 0;
        for pid in self.pids()?.into_iter().filter_map(Pid::from_raw) {
            match kill_process(pid, signal) {
                Ok(()) => signalled += 1,
                Err(Errno::SRCH) => {}
                Err(error) => {
                    let pid = pid.as_raw_nonzero();
                    return Err(error).step(|| format!("cgroup {}: signal process {pid}", self.path()));
                }
            }
        }
        Ok(signalled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Mode,
        testing::{Own, each_layout},
    };
    use std::os::unix::process::ExitStatusExt as _;
    use wharf_error::Kind;

    #[test]
    fn a_signal_reaches_everything_below() {
        each_layout("kill", |own| {
            let path = format!("{}/below", own.cgroup.path());
            let below = if own.cgroup.mode() == Mode::V2 {
                // As a container makes one in its own: `create` would hand controllers down, and then the upper one may
                // have no processes.
                let below = own.cgroup.hierarchies().open(&path).unwrap();
                below.dirs().for_each(|(dir, _)| std::fs::create_dir(dir).unwrap());
                below
            } else {
                own.cgroup.hierarchies().create(&path).unwrap()
            };
            let mut first = own.sleeper(&own.cgroup);
            let mut second = own.sleeper(&below);
            assert_eq!(own.cgroup.pids().unwrap().len(), 2);
            assert_eq!(own.cgroup.kill(999).unwrap_err().kind(), Kind::InvalidArgument);
            own.cgroup.kill(15).unwrap();
            assert_eq!(first.wait().unwrap().signal(), Some(15));
            assert_eq!(second.wait().unwrap().signal(), Some(15));
            own.cgroup.kill(9).unwrap();
        });
    }

    #[test]
    fn sigkill_ends_what_is_frozen_or_forks() {
        each_layout("kill9", |own| {
            let mut frozen = own.sleeper(&own.cgroup);
            let mut forking = own.shell(&own.cgroup, "while :; do (sleep 600 & sleep 600) & sleep 0.01; done");
            own.cgroup.freeze(Duration::from_secs(5)).unwrap();
            own.cgroup.kill(9).unwrap();
            assert_eq!(frozen.wait().unwrap().signal(), Some(9));
            assert_eq!(forking.wait().unwrap().signal(), Some(9));
            own.cgroup.delete(Duration::from_secs(10)).unwrap();
            assert!(!own.cgroup.exists());
        });
    }

    #[test]
    fn an_absent_cgroup_is_killed_already() {
        Own::new("kill-absent").cgroup.hierarchies().open("/wharf-test-absent").unwrap().kill(9).unwrap();
    }
}
