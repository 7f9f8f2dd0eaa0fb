use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{Cgroup, Controller, Hierarchies, file, hierarchies::Hierarchy};

/// How long others may take away parents that we make.
const PATIENCE: Duration = Duration::from_secs(10);

impl Hierarchies {
    /// Makes the cgroup, and its parents, in all hierarchies. One that exists already is fine.
    ///
    /// In v1 a new cpuset gets its parent's processors and memory nodes, or nothing could join it; in v2
    /// the controllers are enabled from the root down as far as the kernel lets us (a parent that holds
    /// processes refuses): a limit that then cannot be set fails in [`Cgroup::apply`], not here.
    /// On an error what was newly made is removed again.
    pub fn create(&self, path: &str) -> Result<Cgroup> {
        let cgroup = self.open(path)?;
        let mut made = Vec::new();
        for hierarchy in self.mounted() {
            let give_up = Instant::now() + PATIENCE;
            let result = loop {
                match make(hierarchy, cgroup.relative(), &mut made) {
                    Ok(false) if Instant::now() < give_up => {}
                    Ok(false) => break Err(Error::new(Kind::Unavailable, "a parent is removed again and again")),
                    made => break made,
                }
            };
            if let Err(error) = result {
                remove(&made);
                return Err(error).step(|| format!("cgroup {}: create", cgroup.path()));
            }
        }
        Ok(cgroup)
    }
}

impl Cgroup {
    /// Makes the cgroup of that name directly below this one, and no parent: where the hierarchy is another's, as systemd's, a
    /// cgroup that it has ended must not come back. One that exists already is fine.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` where this cgroup is not there. On an error what was newly made is removed again.
    pub fn create_child(&self, name: &str) -> Result<Cgroup> {
        let child = self.hierarchies().open(&format!("{}/{name}", self.path()))?;
        let mut made = Vec::new();
        for hierarchy in self.hierarchies().mounted() {
            let parent = hierarchy.mount.join(self.relative());
            let result = match make_in(hierarchy, &parent, &hierarchy.mount.join(child.relative()), &mut made) {
                Ok(false) => {
                    let gone = format!("the cgroup {} is gone", parent.display());
                    Err(Error::new(Kind::FailedPrecondition, gone))
                }
                other => other,
            };
            if let Err(error) = result {
                remove(&made);
                return Err(error).step(|| format!("cgroup {}: create", child.path()));
            }
        }
        Ok(child)
    }
}

/// False when a parent went away meanwhile: somebody tidied up what was still empty.
fn make(hierarchy: &Hierarchy, relative: &Path, made: &mut Vec<PathBuf>) -> Result<bool> {
    let mut parent = hierarchy.mount.clone();
    for part in relative.components() {
        let dir = parent.join(part);
        if !make_in(hierarchy, &parent, &dir, made)? {
            return Ok(false);
        }
        parent = dir;
    }
    Ok(true)
}

/// Makes one directory; false when its parent is not there.
fn make_in(hierarchy: &Hierarchy, parent: &Path, dir: &Path, made: &mut Vec<PathBuf>) -> Result<bool> {
    if hierarchy.v2 {
        enable_controllers(parent, &hierarchy.controllers);
    }
    match fs::create_dir(dir) {
        Ok(()) => made.push(dir.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if file::is_gone(&error) && parent != hierarchy.mount => return Ok(false),
        // The kernel's words for too many cgroups (`cgroup.max.descendants`).
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(Error::new(Kind::Exhausted, format!("mkdir {}: too many cgroups", dir.display())));
        }
        Err(error) => return Err(error).step(|| format!("mkdir {}", dir.display())),
    }
    if !hierarchy.v2 && hierarchy.controllers.contains(&Controller::Cpuset) {
        match inherit_cpuset(parent, dir) {
            Err(error) if file::is_gone(&error) => return Ok(false),
            other => other.step(|| format!("inherit the cpuset of {}", dir.display()))?,
        }
    }
    Ok(true)
}

/// Best effort: somebody may have removed them, or put something into them.
fn remove(made: &[PathBuf]) {
    for dir in made.iter().rev() {
        drop(fs::remove_dir(dir));
    }
}

/// Best effort: see [`Hierarchies::create`].
fn enable_controllers(dir: &Path, wanted: &[Controller]) {
    let enabled = file::try_read(&dir.join("cgroup.subtree_control")).unwrap_or_default();
    let offered = file::try_read(&dir.join("cgroup.controllers")).unwrap_or_default();
    for name in wanted.iter().filter_map(|controller| controller.v2_name()) {
        let is_in = |list: &str| list.split_whitespace().any(|word| word == name);
        if is_in(&enabled) || !is_in(&offered) {
            continue;
        }
        // One write each: the kernel takes a list whole or not at all.
        if let Err(error) = file::write(&dir.join("cgroup.subtree_control"), &format!("+{name}")) {
            tracing::debug!(dir = %dir.display(), controller = name, %error, "controller not enabled");
        }
    }
}

fn inherit_cpuset(parent: &Path, dir: &Path) -> io::Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        if file::try_read(&dir.join(name))?.trim().is_empty() {
            let value = file::try_read(&parent.join(name))?;
            file::write(&dir.join(name), value.trim())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Own;

    #[test]
    fn a_cgroup_is_made_everywhere_with_its_cpuset_and_again_without_harm() {
        let own = Own::new("create");
        let child = own.cgroup.hierarchies().create(&format!("{}/a/b", own.cgroup.path())).unwrap();
        assert!(child.dirs().all(|(dir, _)| dir.is_dir()));
        let cpuset = child.slot(Controller::Cpuset).unwrap();
        if !cpuset.v2 {
            let cpus = cpuset.read("cpuset.cpus").unwrap();
            assert!(!cpus.trim().is_empty(), "nothing could join it");
        }
        own.cgroup.hierarchies().create(&child.path()).unwrap();
    }

    #[test]
    fn below_a_cgroup_that_is_gone_nothing_is_made() {
        let own = Own::new("create-child");
        let parent = own.cgroup.hierarchies().create(&format!("{}/p", own.cgroup.path())).unwrap();
        let child = parent.create_child("c").unwrap();
        assert!(child.dirs().all(|(dir, _)| dir.is_dir()));
        assert_eq!(parent.create_child("c").unwrap().path(), format!("{}/c", parent.path()));
        parent.delete(Duration::from_secs(5)).unwrap();
        let error = parent.create_child("c").unwrap_err();
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        assert!(error.to_string().contains("is gone") && !parent.exists(), "{error}");
    }

    #[test]
    fn a_parent_that_others_tidy_away_is_made_again() {
        let own = Own::new("create-race");
        let parent = own.cgroup.hierarchies().open(&format!("{}/p", own.cgroup.path())).unwrap();
        let tidying = parent.clone();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let tidy = std::thread::spawn(move || {
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                tidying.delete_if_empty().unwrap();
            }
        });
        for round in 0..200 {
            let child = own.cgroup.hierarchies().create(&format!("{}/{round}", parent.path())).unwrap();
            child.delete(std::time::Duration::from_secs(5)).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        tidy.join().unwrap();
    }

    #[test]
    fn a_failed_creation_leaves_nothing() {
        let own = Own::new("create-fails");
        // The one character that the kernel refuses in a name.
        let error = own.cgroup.hierarchies().create(&format!("{}/p/a\nb", own.cgroup.path())).unwrap_err();
        assert!(error.to_string().contains("create"), "{error}");
        assert!(!own.cgroup.hierarchies().open(&format!("{}/p", own.cgroup.path())).unwrap().exists());
    }
}
