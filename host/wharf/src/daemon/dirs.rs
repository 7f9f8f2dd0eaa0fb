use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::config::Config;

/// The daemon's folders, by what is in them.
pub(super) struct Dirs {
    pub(super) content: PathBuf,
    pub(super) snapshots: PathBuf,
    pub(super) compiled: PathBuf,
    pub(super) spool: PathBuf,
}

// === impl Dirs ===

impl Dirs {
    /// Makes what is missing, and takes away what a killed daemon left in the spool.
    ///
    /// The root is nobody's business but ours (CVE-2024-25621). The state folder can be passed, but not listed, so
    /// that a container's user gets at the files that are mounted from it.
    pub(super) fn make(config: &Config) -> Result<Self> {
        let root = &config.root;
        make(root, 0o700)?;
        make(&config.state, 0o711)?;
        make(&config.state.join("pods"), 0o711)?;
        if let Some(parent) = config.socket().parent() {
            fs::create_dir_all(parent).with_context(|| format!("make the socket's folder {}", parent.display()))?;
        }
        let dirs = Self {
            content: root.join("content"),
            snapshots: root.join("snapshots"),
            compiled: root.join("plugins").join("compiled"),
            spool: root.join("spool"),
        };
        for dir in [&dirs.content, &dirs.snapshots, &root.join("plugins"), &dirs.compiled] {
            make(dir, 0o700)?;
        }
        match fs::remove_dir_all(&dirs.spool) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("empty {}", dirs.spool.display()));
            }
            _ => make(&dirs.spool, 0o700)?,
        }
        Ok(dirs)
    }
}

fn make(dir: &Path, mode: u32) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(dir);
    made.with_context(|| format!("make the folder {}", dir.display()))?;
    let meta = fs::symlink_metadata(dir).with_context(|| format!("look at {}", dir.display()))?;
    ensure!(meta.is_dir(), "{} is not a folder", dir.display());
    if meta.permissions().mode() & 0o777 != mode {
        let narrowed = fs::set_permissions(dir, fs::Permissions::from_mode(mode));
        narrowed.with_context(|| format!("set the mode of {}", dir.display()))?;
    }
    Ok(())
}
