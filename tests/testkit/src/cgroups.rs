use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::wait::wait_for;

const REMOVAL: Duration = Duration::from_secs(10);

/// The mount points of every cgroup hierarchy.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter(|line| {
            line.split(" - ").nth(1).is_some_and(|rest| rest.starts_with("cgroup ") || rest.starts_with("cgroup2 "))
        })
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .collect()
}

/// Makes the cgroup `path` (`/a`) in every hierarchy, for a program that wants one to be there.
///
/// # Errors
///
/// When one cannot be made; those made before stay, for [`remove_cgroup`].
pub fn make_cgroup(path: &str) -> Result<()> {
    for hierarchy in hierarchies() {
        let dir = hierarchy.join(path.trim_start_matches('/'));
        fs::create_dir_all(&dir).with_context(|| format!("make cgroup {}", dir.display()))?;
    }
    Ok(())
}

/// Removes the cgroup `path` and all below it in every hierarchy; whether all of it is gone.
pub fn remove_cgroup(path: &str) -> bool {
    remove(path, REMOVAL);
    below(path).is_empty()
}

/// Every cgroup at or below `path` (`/a/b`) in every hierarchy, deepest last.
pub(crate) fn below(path: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for hierarchy in hierarchies() {
        collect(&hierarchy.join(path.trim_start_matches('/')), &mut all);
    }
    all
}

fn collect(dir: &Path, all: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    all.push(dir.to_owned());
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        collect(&entry.path(), all);
    }
}

/// The processes in these cgroups.
pub(crate) fn pids(cgroups: &[PathBuf]) -> Vec<i32> {
    let files = cgroups.iter().filter_map(|dir| fs::read_to_string(dir.join("cgroup.procs")).ok());
    files.flat_map(|text| text.lines().filter_map(|l| l.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Removes them, deepest first; what still empties is waited for.
pub(crate) fn remove(path: &str, deadline: Duration) {
    wait_for(deadline, || {
        let all = below(path);
        for dir in all.iter().rev() {
            // Busy until the last process is reaped: asked again.
            let _ = fs::remove_dir(dir);
        }
        below(path).is_empty()
    });
}
