use std::{
    thread,
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result};

use crate::{Cgroup, Controller, file};

/// v1 tells of a finished freeze only to who asks again.
const POLL: Duration = Duration::from_millis(1);

impl Cgroup {
    /// Stops all processes in it and below, and waits until they stand.
    ///
    /// `DeadlineExceeded`, and everything runs on, when one of them sits in the kernel for longer.
    pub fn freeze(&self, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        self.set_frozen(true)?;
        while !self.is_frozen()? {
            if Instant::now() >= end {
                self.set_frozen(false)?;
                let what = format!("cgroup {}: freeze: not done within {deadline:?}", self.path());
                return Err(Error::new(Kind::DeadlineExceeded, what));
            }
            thread::sleep(POLL);
            // A process that was being moved in when the freeze began needs a second push in v1.
            self.set_frozen(true)?;
        }
        Ok(())
    }

    /// Lets the processes run on. An absent cgroup is success.
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen(false)
    }

    /// Whether all processes stand.
    pub fn is_frozen(&self) -> Result<bool> {
        if let Some(freezer) = self.slot(Controller::Freezer) {
            return Ok(freezer.read("freezer.state")?.trim() == "FROZEN");
        }
        match self.unified() {
            Some(dir) => Ok(file::keyed(&file::read(&dir.join("cgroup.events"))?, "frozen") == Some(1)),
            None => Ok(false),
        }
    }

    /// The nearest cgroup above that somebody has frozen, by its path. What is in this one stands then, whatever is done
    /// here, and under v1 not even SIGKILL ends it.
    pub fn frozen_above(&self) -> Option<String> {
        let path = self.path();
        let mut path = path.as_str();
        while let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            let cgroup = self.hierarchies().open(above).ok()?;
            if cgroup.is_told_to_freeze() {
                return Some(above.to_owned());
            }
            path = above;
        }
        None
    }

    /// By itself, not by one above.
    fn is_told_to_freeze(&self) -> bool {
        let told = match (self.slot(Controller::Freezer), self.unified()) {
            (Some(freezer), _) => freezer.read("freezer.self_freezing").ok(),
            (None, Some(dir)) => file::read(&dir.join("cgroup.freeze")).ok(),
            (None, None) => None,
        };
        told.is_some_and(|told| told.trim() == "1")
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        let (file, value) = match (self.slot(Controller::Freezer), self.unified()) {
            (Some(freezer), _) => (freezer.dir.join("freezer.state"), if frozen { "FROZEN" } else { "THAWED" }),
            (None, Some(dir)) => (dir.join("cgroup.freeze"), if frozen { "1" } else { "0" }),
            (None, None) => {
                let what = format!("cgroup {}: freeze: no freezer is mounted", self.path());
                return Err(Error::new(Kind::Unsupported, what));
            }
        };
        match file::write(&file, value) {
            Err(error) if file::is_gone(&error) && !frozen => Ok(()),
            Err(error) => Err(Error::internal(format!("cgroup {}: write {}: {error}", self.path(), file.display()))),
            Ok(()) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::each_layout;

    #[test]
    fn frozen_processes_stand_until_thawed() {
        each_layout("freeze", |own| {
            let mut sleeper = own.sleeper(&own.cgroup);
            assert!(!own.cgroup.is_frozen().unwrap());
            own.cgroup.freeze(Duration::from_secs(5)).unwrap();
            assert!(own.cgroup.is_frozen().unwrap());
            own.cgroup.thaw().unwrap();
            assert!(!own.cgroup.is_frozen().unwrap());
            let below = own.cgroup.hierarchies().open(&format!("{}/below", own.cgroup.path())).unwrap();
            assert_eq!(below.frozen_above(), None);
            own.cgroup.freeze(Duration::from_secs(5)).unwrap();
            assert_eq!(below.frozen_above(), Some(own.cgroup.path()));
            assert_eq!(own.cgroup.frozen_above(), None, "none above it is");
            own.cgroup.thaw().unwrap();
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
            own.cgroup.hierarchies().open("/wharf-test-absent").unwrap().thaw().unwrap();
        });
    }
}
