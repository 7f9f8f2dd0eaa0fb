//! Plugins compiled once a guest: it interprets, and there a compilation takes longer than most tests.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result};

use crate::cache::{cache_dir, lock_cache};

const FOLDER: &str = "plugins/compiled";

/// Gives a new root what an earlier daemon of this guest compiled. Elsewhere every daemon compiles for itself.
pub(crate) fn lend(root: &Path) -> Result<()> {
    if !in_guest() {
        return Ok(());
    }
    let _lock = lock_cache()?;
    copy(&cache_dir()?.join("compiled"), &root.join(FOLDER)).context("lend compiled plugins")
}

/// Keeps what a daemon compiled for those that come after it.
pub(crate) fn keep(root: &Path) -> Result<()> {
    if !in_guest() {
        return Ok(());
    }
    let _lock = lock_cache()?;
    copy(&root.join(FOLDER), &cache_dir()?.join("compiled")).context("keep compiled plugins")
}

fn in_guest() -> bool {
    std::env::var_os("WHARF_TEST_GUEST").is_some()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if !to.exists() {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
