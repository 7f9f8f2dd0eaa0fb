use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};
use wharf_error::{Kind, Result, ResultExt as _};

/// The name of the record in a container's bundle.
pub const EXIT_FILE: &str = "exit.json";

/// How a container ended. The shim writes it into the bundle before it reports the exit, so that a
/// daemon learns it also when the shim itself is gone.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ExitRecord {
    /// The exit status, or 128 and the signal's number.
    pub exit_code: i32,
    /// Nanoseconds since the epoch.
    pub exited_at_ns: i64,
    /// Whether the kernel killed a process of the container for want of memory.
    #[serde(default)]
    pub oom: bool,
}

// === impl ExitRecord ===

impl ExitRecord {
    /// Reads the record of a bundle; `None` when the container has not exited under a shim's eyes.
    pub fn read(bundle: &Path) -> Result<Option<Self>> {
        let path = bundle.join(EXIT_FILE);
        let json = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.step(|| format!("read {}", path.display()))?,
        };
        let record = serde_json::from_slice(&json).step_as(Kind::DataLoss, || format!("read {}", path.display()))?;
        Ok(Some(record))
    }

    /// Removes the record of an earlier life of the container, if there is one.
    pub fn forget(bundle: &Path) -> Result<()> {
        let path = bundle.join(EXIT_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).step(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Writes the record: a reader sees the whole of it or nothing.
    pub fn write(&self, bundle: &Path) -> Result<()> {
        let path = bundle.join(EXIT_FILE);
        let new = bundle.join(".exit.json.new");
        let json = serde_json::to_vec(self).step(|| format!("encode {}", path.display()))?;
        fs::write(&new, json).and_then(|()| fs::rename(&new, &path)).step(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_there_whole_or_not_at_all() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(ExitRecord::read(bundle.path()).unwrap(), None);
        let record = ExitRecord { exit_code: 137, exited_at_ns: 5, oom: true };
        record.write(bundle.path()).unwrap();
        assert_eq!(ExitRecord::read(bundle.path()).unwrap(), Some(record));
        assert_eq!(fs::read_dir(bundle.path()).unwrap().count(), 1, "no temporary file stays");
        fs::write(bundle.path().join(EXIT_FILE), "{").unwrap();
        assert_eq!(ExitRecord::read(bundle.path()).unwrap_err().kind(), Kind::DataLoss);
        ExitRecord::forget(bundle.path()).unwrap();
        ExitRecord::forget(bundle.path()).unwrap();
        assert_eq!(ExitRecord::read(bundle.path()).unwrap(), None);
    }
}
