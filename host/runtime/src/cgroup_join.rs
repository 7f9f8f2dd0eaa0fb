use std::os::fd::OwnedFd;

use rustix::fs::{FileType, fstat};
use wharf_error::{Result, ResultExt as _};

/// The cgroup that a process joins before it does anything else, as open files.
///
/// On v1 the process writes `0` into each hierarchy's `tasks` itself: a parent that writes a pid to `cgroup.procs`
/// waits for a grace period of the whole machine. On v2 it is born inside (`CLONE_INTO_CGROUP`).
#[derive(Debug, Default)]
pub struct CgroupJoin {
    /// The `tasks` files of the v1 hierarchies, open for writing.
    pub tasks: Vec<OwnedFd>,
    /// The cgroup's directory in the v2 hierarchy.
    pub unified: Option<OwnedFd>,
}

impl CgroupJoin {
    /// Sorts files by what they are: a directory is the v2 cgroup, everything else a `tasks` file.
    pub fn from_files(files: impl IntoIterator<Item = OwnedFd>) -> Result<Self> {
        let mut join = Self::default();
        for file in files {
            let stat = fstat(&file).map_err(std::io::Error::from).step(|| "look at a cgroup's file".into())?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                join.unified = Some(file);
            } else {
                join.tasks.push(file);
            }
        }
        Ok(join)
    }

    /// The same, for another process.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let clone = || {
            let tasks = self.tasks.iter().map(OwnedFd::try_clone).collect::<std::io::Result<_>>()?;
            Ok::<_, std::io::Error>(Self { tasks, unified: self.unified.as_ref().map(OwnedFd::try_clone).transpose()? })
        };
        clone().step(|| "duplicate the cgroup's files".into())
    }
}
