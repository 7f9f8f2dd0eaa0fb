use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{Cgroup, file};

/// Between two tries; a killed process leaves its cgroup some milliseconds after its parent saw it end.
const FIRST_RETRY: Duration = Duration::from_millis(1);
const LAST_RETRY: Duration = Duration::from_millis(50);

impl Cgroup {
    /// Removes it, and the cgroups below, from every hierarchy. Absent ones are success.
    ///
    /// Processes are not killed but waited for; `DeadlineExceeded` names those still there at the end.
    pub fn delete(&self, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        let mut pause = FIRST_RETRY;
        loop {
            let mut busy = None;
            for (dir, _) in self.dirs() {
                if let Err(error) = remove(&dir) {
                    busy = Some((dir, error));
                }
            }
            let Some((dir, error)) = busy else { return Ok(()) };
            if error.kind() != io::ErrorKind::ResourceBusy || Instant::now() >= end {
                let inside = self.pids().unwrap_or_default();
                let what = format!("cgroup {}: remove {}: {error}, processes {inside:?}", self.path(), dir.display());
                return Err(Error::new(Kind::DeadlineExceeded, what));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LAST_RETRY);
        }
    }
}

impl Cgroup {
    /// Removes it from every hierarchy where nothing is in it: a parent that others may be using. Absent and
    /// busy are success.
    pub fn delete_if_empty(&self) -> Result<()> {
        for (dir, _) in self.dirs() {
            match fs::remove_dir(&dir) {
                Err(error) if file::is_gone(&error) || error.kind() == io::ErrorKind::ResourceBusy => {}
                other => other.step(|| format!("cgroup {}: remove {}", self.path(), dir.display()))?,
            }
        }
        Ok(())
    }
}

/// Bottom up; goes on after a failure, so that what can go goes.
fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if file::is_gone(&error) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
        other => return other,
    }
    let mut below = Ok(());
    for child in file::children(dir).unwrap_or_default() {
        below = below.and(remove(&child));
    }
    below?;
    match fs::remove_dir(dir) {
        Err(error) if file::is_gone(&error) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::each_layout;

    #[test]
    fn an_empty_one_goes_and_one_with_children_stays() {
        each_layout("empty", |own| {
            let child = own.cgroup.hierarchies().create(&format!("{}/a", own.cgroup.path())).unwrap();
            own.cgroup.delete_if_empty().unwrap();
            assert!(child.exists());
            child.delete_if_empty().unwrap();
            own.cgroup.delete_if_empty().unwrap();
            assert!(!own.cgroup.exists());
            own.cgroup.delete_if_empty().unwrap();
        });
    }

    #[test]
    fn a_tree_goes_at_once_and_again_without_harm() {
        each_layout("delete", |own| {
            own.cgroup.hierarchies().create(&format!("{}/a/b/c", own.cgroup.path())).unwrap();
            own.cgroup.delete(Duration::ZERO).unwrap();
            assert!(!own.cgroup.exists());
            own.cgroup.delete(Duration::ZERO).unwrap();
        });
    }

    #[test]
    fn a_process_inside_is_named_and_then_waited_for() {
        each_layout("delete-busy", |own| {
            let mut sleeper = own.sleeper(&own.cgroup);
            let error = own.cgroup.delete(Duration::from_millis(5)).unwrap_err();
            assert_eq!(error.kind(), Kind::DeadlineExceeded);
            assert!(error.to_string().contains(&sleeper.id().to_string()), "{error}");
            let waiting = own.cgroup.clone();
            let deleted = thread::spawn(move || waiting.delete(Duration::from_secs(10)));
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
            deleted.join().unwrap().unwrap();
        });
    }
}
