use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::packages::apt_is_here;

/// A program in `PATH`, or where the system's own are.
///
/// # Errors
///
/// When it is in none of them.
pub fn in_path(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    let executable = |path: &Path| fs::metadata(path).is_ok_and(|m| m.is_file());
    dirs.map(|dir| dir.join(name)).find(|p| executable(p)).with_context(|| format!("there is no {name}"))
}

/// Installs the packages whose programs are missing: `(program, package)`. For those that need files of theirs at fixed
/// places; of others [`crate::unpacked_package`] is enough.
///
/// # Errors
///
/// When one is missing and there is no apt, or apt fails, with its own words.
pub fn install_missing(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> = programs.iter().filter(|(p, _)| in_path(p).is_err()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(apt_is_here(), "there is no apt-get to install {}", missing.join(", "));
    let install = |_| {
        apt(Command::new("apt-get")
            .args(["-q", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // A machine that has never asked its mirror has no lists.
    install(()).or_else(|_: anyhow::Error| apt(Command::new("apt-get").args(["-q", "update"])).and_then(install))
}

fn apt(command: &mut Command) -> Result<()> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    ensure!(out.status.success(), "{command:?}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim());
    Ok(())
}
