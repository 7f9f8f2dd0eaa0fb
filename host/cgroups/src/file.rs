//! Small reads and writes of cgroup files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use wharf_error::{Result, ResultExt as _};

pub fn try_read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

pub fn read(path: &Path) -> Result<String> {
    try_read(path).step(|| format!("read {}", path.display()))
}

/// One write, for the kernel takes each write as one command. Never makes a file.
pub fn write(path: &Path, value: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    if value.is_empty() {
        return Ok(());
    }
    file.write_all(value.as_bytes())
}

/// The number after `key` in a flat keyed file.
pub fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

/// The cgroups directly below; none for a cgroup that does not exist.
pub fn children(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        other => other.step(|| format!("list {}", dir.display()))?,
    };
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries.filter_map(|entry| entry.ok()).filter(is_dir).map(|entry| entry.path()).collect())
}

/// The names in a cgroup's folder; none for a cgroup that does not exist.
pub fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        other => other.step(|| format!("list {}", dir.display()))?,
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// Whether the cgroup went away: before the open (ENOENT) or between open and read (ENODEV).
pub fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}
