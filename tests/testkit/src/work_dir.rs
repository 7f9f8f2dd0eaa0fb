use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};
use tempfile::TempDir;

/// A temporary folder for one private daemon: `root` on a real file system that overlayfs accepts as upper layer,
/// `state` on tmpfs as in production, with a socket path short enough for `sockaddr_un`. Removed on drop.
#[derive(Debug)]
pub struct WorkDir {
    root: PathBuf,
    state: TempDir,
    /// Unless its place was given.
    temporary: Option<TempDir>,
}

impl WorkDir {
    /// Makes both folders. `what` is a word of the first one's name: `wharf-<what>-x1y2z3`.
    ///
    /// # Errors
    ///
    /// When no folder fits, with what was looked at.
    pub fn new(what: &str) -> Result<Self> {
        let root = in_folder(&disk_folder()?, &format!("wharf-{what}-"))?;
        Ok(Self { root: root.path().to_owned(), state: state_folder()?, temporary: Some(root) })
    }

    /// As [`WorkDir::new`], with what outlives a reboot at a place of its own, which stays: there may be one already.
    ///
    /// # Errors
    ///
    /// When a folder cannot be made.
    pub fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
        Ok(Self { root: root.to_owned(), state: state_folder()?, temporary: None })
    }

    /// The folder for what outlives a reboot, and for whatever else a test writes.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for what a reboot ends.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Leaves both where they are when this is dropped.
    pub fn keep(&mut self) {
        if let Some(root) = &mut self.temporary {
            root.disable_cleanup(true);
        }
        self.state.disable_cleanup(true);
    }

    /// A name that no other private daemon has at this moment.
    pub fn unique(&self) -> String {
        self.root.file_name().map_or_else(String::new, |n| n.to_string_lossy().to_ascii_lowercase())
    }
}

/// Its name is short, as `/run/wharf` is: the path of a shim's socket has to fit into an address.
fn state_folder() -> Result<TempDir> {
    in_folder(&tmpfs_folder(), "wharf-")
}

fn in_folder(folder: &Path, prefix: &str) -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(folder);
    made.with_context(|| format!("make a temporary folder in {}", folder.display()))
}

// An overlay cannot have its upper layer on another overlay, which is what /tmp is inside a container.
fn disk_folder() -> Result<PathBuf> {
    let candidates = [std::env::temp_dir(), "/var/tmp".into(), "/run".into(), "/dev/shm".into()];
    candidates
        .iter()
        .find(|dir| statfs(dir.as_path()).is_ok_and(|fs| fs.filesystem_type() != OVERLAYFS_SUPER_MAGIC))
        .cloned()
        .with_context(|| {
            format!("none of {candidates:?} is on a file system that can be an overlay's upper layer: set TMPDIR")
        })
}

// Where a node has its state: `/run`, which a machine inside another may have on its disk.
fn tmpfs_folder() -> PathBuf {
    let fits = |dir: &&str| {
        statfs(*dir).is_ok_and(|fs| fs.filesystem_type() == TMPFS_MAGIC) && tempfile::tempfile_in(dir).is_ok()
    };
    ["/run", "/dev/shm"].into_iter().find(fits).map_or_else(std::env::temp_dir, PathBuf::from)
}
