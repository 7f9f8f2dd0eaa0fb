use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::cache::{cache_dir, lock_cache};

/// What it is asked for by; another version may name sockets in another way.
const GRPC: &str = "grpcio==1.85.3";

/// A Python that has gRPC's own client: there, or made in the cache from PyPI.
///
/// # Errors
///
/// Without Python 3 and its `venv`, or where PyPI cannot be reached.
pub fn python_grpc() -> Result<PathBuf> {
    let _lock = lock_cache()?;
    let dir = cache_dir()?.join("python").join(GRPC);
    let python = dir.join("bin/python");
    if Command::new(&python).args(["-c", "import grpc"]).output().is_ok_and(|out| out.status.success()) {
        return Ok(python);
    }
    // What a broken attempt left would be taken for whole.
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", GRPC]))?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let out = command.output().with_context(|| format!("start {command:?}"))?;
    ensure!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr).trim());
    Ok(())
}
