use std::{
    fs::{self, File, OpenOptions},
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
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

    /// As [`Cgroup::join_files`], for a process that joins `beside`, which is in the cgroup: where a container has made
    /// cgroups of its own below and has them limited, v2 lets no process into the one above, and this is the one that
    /// `beside` is in. A file is read more.
    pub fn join_files_beside(&self, beside: i32) -> Result<JoinFiles> {
        let mut files = self.join_files()?;
        if let Some(dir) = self.unified()
            && is_divided(&dir)?
            && let Some(below) = self.below(beside)?
        {
            let dir = dir.join(below);
            let opened = File::open(&dir).step(|| format!("cgroup {}: open {}", self.path(), dir.display()))?;
            files.unified = Some(opened.into());
        }
        Ok(files)
    }

    /// Where a process is in v2's hierarchy, seen from this cgroup; none: not below it.
    fn below(&self, pid: i32) -> Result<Option<PathBuf>> {
        let file = format!("/proc/{pid}/cgroup");
        let table = fs::read_to_string(&file).step(|| format!("cgroup {}: read {file}", self.path()))?;
        let own = self.path();
        let below = table.lines().find_map(|line| Path::new(line.strip_prefix("0::")?).strip_prefix(&own).ok());
        let plain = |path: &&Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        Ok(below.filter(plain).map(Path::to_owned))
    }
}

/// Whether controllers are handed on to the cgroups below.
fn is_divided(dir: &Path) -> Result<bool> {
    let file = dir.join("cgroup.subtree_control");
    let controllers = fs::read_to_string(&file).step(|| format!("read {}", file.display()))?;
    Ok(!controllers.trim().is_empty())
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
