use std::{
    fs::{File, OpenOptions},
    os::fd::OwnedFd,
};

use wharf_error::{Result, ResultExt as _};

use crate::Cgroup;

/// What a new process needs to join a cgroup in every hierarchy. All are opened close-on-exec.
///
/// In v1 a process that writes `0` into `tasks` itself joins in microseconds; one that writes another's
/// number into `cgroup.procs` waits for a lock of the whole system (7 ms here).
#[derive(Debug)]
pub struct JoinFiles {
    /// v1: `tasks` of each hierarchy, open for writing. The process, single-threaded, writes `0`.
    pub tasks: Vec<OwnedFd>,
    /// v2, also a hybrid's: the directory, for `CLONE_INTO_CGROUP`.
    pub unified: Option<OwnedFd>,
}

impl Cgroup {
    /// Opens what a new process needs to join. Fails when the cgroup does not exist.
    pub fn join_files(&self) -> Result<JoinFiles> {
        let mut files = JoinFiles { tasks: Vec::new(), unified: None };
        for (dir, v2) in self.dirs() {
            if v2 {
                let opened = File::open(&dir).step(|| format!("cgroup {}: open {}", self.path(), dir.display()))?;
                files.unified = Some(opened.into());
            } else {
                let tasks = dir.join("tasks");
                let opened = OpenOptions::new().write(true).open(&tasks);
                files.tasks.push(opened.step(|| format!("cgroup {}: open {}", self.path(), tasks.display()))?.into());
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Own;

    #[test]
    fn files_for_every_hierarchy() {
        let own = Own::new("join");
        let files = own.cgroup.join_files().unwrap();
        let v1 = own.cgroup.dirs().filter(|(_, v2)| !v2).count();
        assert_eq!(files.tasks.len(), v1);
        assert_eq!(files.unified.is_some(), own.cgroup.unified().is_some());
        let absent = own.cgroup.hierarchies().open("/wharf-test-absent").unwrap();
        assert!(absent.join_files().is_err());
    }
}
