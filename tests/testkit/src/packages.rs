use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::cache::{cache_dir, lock_cache};

/// Whether packages can be fetched and unpacked on this machine.
pub fn apt_is_here() -> bool {
    ["apt-get", "dpkg-deb"]
        .iter()
        .all(|tool| Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success()))
}

/// The folder with the files of a package of this distribution: fetched and unpacked once, nothing is installed.
///
/// # Errors
///
/// When apt cannot fetch it, with apt's own words.
pub fn unpacked_package(name: &str) -> Result<PathBuf> {
    let folder = cache_dir()?.join("packages");
    let ready = folder.join(name);
    if ready.is_dir() {
        return Ok(ready);
    }
    let _lock = lock_cache()?;
    if ready.is_dir() {
        return Ok(ready);
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let work = tempfile::tempdir_in(&folder).context("make a folder to fetch into")?;
    if let Err(first) = download(name, work.path()) {
        // A machine that has never asked its mirror has no lists.
        run(Command::new("apt-get").args(["-q", "update"]))
            .with_context(|| format!("{first:#}; then apt-get update"))?;
        download(name, work.path())?;
    }
    let deb = fs::read_dir(work.path())?
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "deb"))
        .with_context(|| format!("apt-get download {name} left no .deb"))?;
    let tree = work.path().join("tree");
    run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&tree))?;
    fs::rename(&tree, &ready).with_context(|| format!("keep {}", ready.display()))?;
    Ok(ready)
}

fn download(name: &str, dir: &Path) -> Result<()> {
    run(Command::new("apt-get").args(["-q", "-o", "APT::Sandbox::User=root", "download", name]).current_dir(dir))
}

fn run(command: &mut Command) -> Result<()> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    if !out.status.success() {
        bail!("{command:?}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}
