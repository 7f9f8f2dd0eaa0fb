use std::{
    collections::BTreeSet,
    io,
    path::{Component, Path, PathBuf},
};

use wharf_error::{Error, Kind, Result};

use crate::{Controller, Hierarchies, Mode, file};

/// One cgroup, by its path in every hierarchy. It is a name, not a handle: it may or may not exist.
#[derive(Clone, Debug)]
pub struct Cgroup {
    hierarchies: Hierarchies,
    /// Without the leading slash.
    relative: PathBuf,
}

/// The directory of a cgroup where one controller lives.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) dir: PathBuf,
    pub(crate) v2: bool,
}

// === impl Hierarchies ===

impl Hierarchies {
    /// Names a cgroup without making or looking for it.
    ///
    /// `path` is absolute in each hierarchy and not its root: `InvalidArgument` otherwise, and for a
    /// path with `..`.
    pub fn open(&self, path: &str) -> Result<Cgroup> {
        let bad = |why: &str| Err(Error::invalid(format!("cgroup `{path}`: {why}")));
        let Some(relative) = path.strip_prefix('/') else {
            return match path.split(':').count() {
                3 => bad("systemd's slice:prefix:name is not supported; give an absolute path"),
                _ => bad("not an absolute path"),
            };
        };
        let mut clean = PathBuf::new();
        for part in Path::new(relative).components() {
            match part {
                Component::Normal(name) => clean.push(name),
                Component::CurDir | Component::RootDir => {}
                Component::ParentDir | Component::Prefix(_) => return bad("`..` is not allowed"),
            }
        }
        if clean.as_os_str().is_empty() {
            return bad("the root is not ours");
        }
        Ok(Cgroup { hierarchies: self.clone(), relative: clean })
    }
}

// === impl Cgroup ===

impl Cgroup {
    /// The absolute path in each hierarchy.
    pub fn path(&self) -> String {
        format!("/{}", self.relative.display())
    }

    /// How this node's cgroups are laid out.
    pub fn mode(&self) -> Mode {
        self.hierarchies.mode()
    }

    /// Whether it exists in any hierarchy.
    pub fn exists(&self) -> bool {
        self.dirs().any(|(dir, _)| dir.exists())
    }

    /// The processes in it and in the cgroups below it. Of a cgroup that does not exist: none.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = BTreeSet::new();
        for (dir, _) in self.dirs() {
            collect_pids(&dir, &mut pids)?;
        }
        Ok(pids.into_iter().collect())
    }

    /// Its directory in each hierarchy, and whether that is v2.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = (PathBuf, bool)> {
        self.hierarchies.mounted().iter().map(|h| (h.mount.join(&self.relative), h.v2))
    }

    pub(crate) fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    pub(crate) fn relative(&self) -> &Path {
        &self.relative
    }

    /// Its directory in the cgroup2 hierarchy, also a hybrid's.
    pub(crate) fn unified(&self) -> Option<PathBuf> {
        self.dirs().find(|(_, v2)| *v2).map(|(dir, _)| dir)
    }

    pub(crate) fn slot(&self, controller: Controller) -> Option<Slot> {
        self.hierarchies
            .mounted()
            .iter()
            .find(|h| h.controllers.contains(&controller))
            .map(|h| Slot { dir: h.mount.join(&self.relative), v2: h.v2 })
    }
}

// === impl Slot ===

impl Slot {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    pub(crate) fn read(&self, name: &str) -> Result<String> {
        file::read(&self.dir.join(name))
    }

    /// A file with one number; `max` and what does not fit are `u64::MAX`.
    pub(crate) fn number(&self, name: &str) -> Result<u64> {
        Ok(self.read(name)?.trim().parse().unwrap_or(u64::MAX))
    }

    /// A line `key value` of a flat keyed file; 0 when there is none.
    pub(crate) fn keyed(&self, name: &str, key: &str) -> Result<u64> {
        Ok(file::keyed(&self.read(name)?, key).unwrap_or(0))
    }

    pub(crate) fn write(&self, name: &str, value: &str) -> Result<()> {
        self.try_write(name, value).map_err(|error| self.refused(name, value, &error))
    }

    pub(crate) fn try_write(&self, name: &str, value: &str) -> io::Result<()> {
        file::write(&self.dir.join(name), value)
    }

    pub(crate) fn refused(&self, name: &str, value: &str, error: &io::Error) -> Error {
        let what = format!("cgroup {}: write `{value}` to {name}: {error}", self.dir.display());
        match error.kind() {
            io::ErrorKind::NotFound => Error::new(Kind::Unsupported, what)
                .hint("the kernel does not offer this control here, or its controller is not enabled in the parent"),
            io::ErrorKind::InvalidInput => Error::invalid(what),
            io::ErrorKind::ResourceBusy => {
                Error::new(Kind::FailedPrecondition, what).hint("more is in use than the limit allows")
            }
            _ => Error::internal(what),
        }
    }
}

fn collect_pids(dir: &Path, pids: &mut BTreeSet<i32>) -> Result<()> {
    match file::try_read(&dir.join("cgroup.procs")) {
        // Numbers of processes outside our PID namespace read as 0.
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|&pid| pid > 0)),
        Err(error) if file::is_gone(&error) => return Ok(()),
        // A threaded v2 cgroup lists its processes at its domain's root, which was read before.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(error) => return Err(Error::internal(format!("cgroup {}: list processes: {error}", dir.display()))),
    }
    for child in file::children(dir)? {
        collect_pids(&child, pids)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_stay_below_the_root() {
        let here = Hierarchies::detect().unwrap();
        assert_eq!(here.open("/a//b/./c/").unwrap().path(), "/a/b/c");
        for bad in ["", "/", "a/b", "/a/../b", "/..", "sys.slice:wharf:id", "/./"] {
            assert_eq!(here.open(bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn an_absent_cgroup_has_no_processes() {
        let absent = Hierarchies::detect().unwrap().open("/wharf-test-absent").unwrap();
        assert!(!absent.exists());
        assert!(absent.pids().unwrap().is_empty());
    }
}
