use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use nix::fcntl::{Flock, FlockArg};

/// The folder that keeps what is dear to fetch (packages, built tools) between runs, outside every checkout:
/// `$WHARF_TEST_CACHE`, else `/var/cache/wharf-test` where that can be written, else the user's cache folder.
///
/// # Errors
///
/// When none of them can be made.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("WHARF_TEST_CACHE") {
        let dir = PathBuf::from(dir);
        fs::create_dir_all(&dir).with_context(|| format!("make $WHARF_TEST_CACHE {}", dir.display()))?;
        return Ok(dir);
    }
    let system = PathBuf::from("/var/cache/wharf-test");
    if fs::create_dir_all(&system).is_ok() && tempfile::tempfile_in(&system).is_ok() {
        return Ok(system);
    }
    let user = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("no folder for a cache: set WHARF_TEST_CACHE")?
        .join("wharf-test");
    fs::create_dir_all(&user).with_context(|| format!("make the cache folder {}", user.display()))?;
    Ok(user)
}

/// Held while a process fills the cache, so that two test runs fetch a thing once. Freed on drop, and by death.
///
/// # Errors
///
/// When the cache's folder or the lock in it cannot be made.
pub fn lock_cache() -> Result<Flock<File>> {
    let path = cache_dir()?.join("lock");
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| anyhow::anyhow!("lock {}: {errno}", path.display()))
}
