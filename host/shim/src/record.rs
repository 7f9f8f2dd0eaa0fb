//! What exists because of this shim, in a file: for `delete` after the shim has died.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use wharf_crash_points::point;
use wharf_error::{Kind, Result, ResultExt as _};
use wharf_shim_api::{OciRuntime, OtherShim};

use crate::engine::OtherRecord;

/// The record's name in the pod's bundle.
const FILE: &str = "shim.json";

/// Everything that has to be taken away. A thing is recorded before it is made.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Record {
    /// The file where the pod's network namespace is pinned by us.
    pub netns: Option<PathBuf>,
    /// The pod's cgroup, when we made it.
    pub cgroup_parent: Option<String>,
    /// The shim that works for us.
    pub other: Option<OtherRecord>,
    /// The containers by id.
    pub containers: BTreeMap<String, ContainerRecord>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ContainerRecord {
    pub bundle: PathBuf,
    pub cgroup: String,
    /// The command line that made it.
    pub oci: Option<OciRuntime>,
    /// The shim that made it.
    pub other: Option<OtherShim>,
}

/// The record of a running shim.
pub struct RecordFile {
    bundle: PathBuf,
    record: Mutex<Record>,
}

// === impl Record ===

impl Record {
    /// Reads what a shim left in the bundle; an absent file is an empty record.
    pub fn read(bundle: &Path) -> Result<Self> {
        let path = bundle.join(FILE);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).step(|| format!("read {}", path.display())),
            Ok(json) => serde_json::from_slice(&json).step_as(Kind::DataLoss, || format!("read {}", path.display())),
        }
    }

    /// Takes it away; none there is success.
    pub fn remove(bundle: &Path) -> Result<()> {
        let path = bundle.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).step(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, bundle: &Path) -> Result<()> {
        let (path, new) = (bundle.join(FILE), bundle.join(".shim.json.new"));
        let json = serde_json::to_vec(self).step(|| format!("encode {}", path.display()))?;
        let step = || format!("write {}", path.display());
        fs::write(&new, json).step(step)?;
        point!("shim.record.written");
        fs::rename(&new, &path).step(step)
    }
}

// === impl RecordFile ===

impl RecordFile {
    pub fn new(bundle: &Path) -> Self {
        Self { bundle: bundle.to_owned(), record: Mutex::default() }
    }

    /// Changes the record; it is on the file system when this returns. Blocks.
    pub fn update(&self, change: impl FnOnce(&mut Record)) -> Result<()> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = record.clone();
        change(&mut changed);
        if changed != *record {
            changed.write(&self.bundle)?;
            *record = changed;
        }
        Ok(())
    }

    pub fn get(&self) -> Record {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_read_after_a_death() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(bundle.path()).unwrap(), Record::default());
        let file = RecordFile::new(bundle.path());
        let container = ContainerRecord { bundle: "/b".into(), cgroup: "/c".into(), ..ContainerRecord::default() };
        file.update(|record| drop(record.containers.insert("web".into(), container))).unwrap();
        assert_eq!(Record::read(bundle.path()).unwrap(), file.get());
        assert_eq!(fs::read_dir(bundle.path()).unwrap().count(), 1);
        fs::write(bundle.path().join(FILE), "x").unwrap();
        assert_eq!(Record::read(bundle.path()).unwrap_err().kind(), Kind::DataLoss);
    }
}
