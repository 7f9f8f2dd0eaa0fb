//! What is known of containers: a folder each.

mod folder;
mod record;

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

pub(crate) use self::{
    folder::Folder,
    record::{Init, Record},
};
use crate::cgroup;

/// Longer ids would not be names of folders.
const LONGEST: usize = 255;

/// The folder of all containers.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

/// All containers of a store.
#[derive(Debug, Default)]
pub(crate) struct All {
    /// By id.
    pub(crate) readable: Vec<(Folder, Record)>,
    /// What is wrong with the others.
    pub(crate) broken: Vec<Error>,
}

// === impl Store ===

impl Store {
    /// Without a path: `/run/wharf-oci`, and for others than root their own runtime folder.
    pub(crate) fn new(root: Option<PathBuf>) -> Self {
        let own = || {
            let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
            match (rustix::process::geteuid().is_root(), folder) {
                (false, Some(folder)) => Path::new(&folder).join("wharf-oci"),
                (false, None) => format!("/tmp/wharf-oci-{}", rustix::process::geteuid().as_raw()).into(),
                (true, _) => "/run/wharf-oci".into(),
            }
        };
        let root = root.unwrap_or_else(own);
        // The container's process knows no working directory of ours.
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// Takes an id for a new container: its folder, locked and empty. What a command that was killed left there is
    /// taken away first.
    pub(crate) fn reserve(&self, id: &str) -> Result<Folder> {
        check(id)?;
        let step = || format!("make {}", self.root.display());
        fs::DirBuilder::new().recursive(true).mode(0o711).create(&self.root).step(step)?;
        let path = self.root.join(id);
        let exists =
            || Error::new(Kind::AlreadyExists, format!("container {id}: container with given ID already exists"));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).step(|| format!("make {}", path.display()));
            }
            _ => {}
        }
        let folder = Folder::open(&path)?.ok_or_else(exists)?;
        if !folder.try_lock()? {
            return Err(exists());
        }
        match folder.record()? {
            Some(Record { init: Some(_), .. }) => return Err(exists()),
            Some(record) => cgroup::clear(&record.cgroup)?,
            None => {}
        }
        folder.empty()?;
        Ok(folder)
    }

    /// A container that is there, not locked.
    pub(crate) fn container(&self, id: &str) -> Result<(Folder, Record)> {
        check(id)?;
        let absent = || Error::new(Kind::NotFound, format!("container {id}: container does not exist"));
        let folder = Folder::open(&self.root.join(id))?.ok_or_else(absent)?;
        let record = folder.record()?.ok_or_else(absent)?;
        Ok((folder, record))
    }

    /// The same for a change, locked. Waits for another command at it, half a minute at most.
    pub(crate) fn locked(&self, id: &str) -> Result<(Folder, Record)> {
        let (folder, _) = self.container(id)?;
        folder.lock()?;
        let absent = || Error::new(Kind::NotFound, format!("container {id}: container does not exist"));
        // What was read before may have changed meanwhile.
        let record = folder.record()?.ok_or_else(absent)?;
        Ok((folder, record))
    }

    /// A folder that a killed command left before it wrote a record.
    pub(crate) fn remains(&self, id: &str) -> Result<Option<Folder>> {
        check(id)?;
        Folder::open(&self.root.join(id))
    }

    /// All containers; what cannot be read hides none of the others.
    pub(crate) fn all(&self) -> Result<All> {
        let step = || format!("list {}", self.root.display());
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(All::default()),
            other => other.step(step)?,
        };
        let mut all = All::default();
        for entry in entries {
            let entry = entry.step(step)?;
            let container = Folder::open(&entry.path()).and_then(|folder| {
                let Some(folder) = folder else { return Ok(None) };
                Ok(folder.record()?.map(|record| (folder, record)))
            });
            match container.step(|| format!("container {}", entry.file_name().to_string_lossy())) {
                // What goes away meanwhile is not listed.
                Ok(there) => all.readable.extend(there),
                Err(error) => all.broken.push(error),
            }
        }
        all.readable.sort_by(|(_, one), (_, other)| one.id.cmp(&other.id));
        Ok(all)
    }
}

/// An id is a plain file name of letters, digits and `_+-.`, as runc has it.
fn check(id: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() {
        return Err(Error::invalid("container id cannot be empty"));
    }
    if id == "." || id == ".." || id.len() > LONGEST || !id.chars().all(good) {
        return Err(Error::invalid(format!("invalid container ID format: {id:?}"))
            .hint(format!("letters, digits, '_', '+', '-' and '.', at most {LONGEST}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_folders() {
        for good in ["a", "web-1", "a_b+c.d", "0123456789abcdef"] {
            check(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "../a", "a b", "a\0", "ä", &"x".repeat(256)] {
            assert_eq!(check(bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad:?}");
        }
    }

    #[test]
    fn an_id_is_taken_once_and_free_after_its_folder_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(Some(root.path().join("deep/er")));
        let folder = store.reserve("web").unwrap();
        assert_eq!(store.reserve("web").unwrap_err().kind(), Kind::AlreadyExists, "it is being made");
        assert!(store.container("web").unwrap_err().is_not_found(), "there is no record yet");
        fs::write(folder.path().join("left"), "").unwrap();
        drop(folder);
        let folder = store.reserve("web").unwrap();
        assert!(!folder.path().join("left").exists(), "what a killed command left is taken away");
        folder.remove().unwrap();
        assert!(store.all().unwrap().readable.is_empty());
        store.reserve("web").unwrap();
    }
}
