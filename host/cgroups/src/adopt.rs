use std::{fs, io};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{Cgroup, file};

impl Cgroup {
    /// Moves a process that is there already, all of it, into the cgroup, in v2's hierarchy, and makes the cgroup first where
    /// only its parent is there. Costs a lock of the whole system.
    ///
    /// No controller is handed down, as [`Hierarchies::create`](crate::Hierarchies::create) would: from a cgroup that does so
    /// while the process is in it, the process can be moved no more.
    ///
    /// # Errors
    ///
    /// `Unsupported` where there is no v2; otherwise the kernel's word, as for a process that has ended.
    pub fn adopt(&self, pid: u32) -> Result<()> {
        let Some(dir) = self.unified() else {
            return Err(Error::new(Kind::Unsupported, format!("cgroup {}: this node has no cgroup v2", self.path())));
        };
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.step(|| format!("mkdir {}", dir.display()))?,
        }
        file::write(&dir.join("cgroup.procs"), &pid.to_string())
            .step(|| format!("cgroup {}: move process {pid} there", self.path()))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Own;

    #[test]
    fn a_process_that_runs_is_moved_and_one_that_does_not_is_named() {
        let own = Own::new("adopt");
        if own.cgroup.unified().is_none() {
            return;
        }
        let child = own.cgroup.hierarchies().open(&format!("{}/child", own.cgroup.path())).unwrap();
        let mut sleeper = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        child.adopt(sleeper.id()).unwrap();
        let inside = child.pids().unwrap();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert_eq!(inside, [i32::try_from(sleeper.id()).unwrap()]);
        let error = child.adopt(sleeper.id()).unwrap_err().to_string();
        assert!(error.contains(&format!("move process {}", sleeper.id())), "{error}");
    }
}
