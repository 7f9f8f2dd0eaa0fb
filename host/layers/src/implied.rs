use std::{
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fd::AsFd as _,
    fs::{Mode, OFlags},
};
use wharf_error::{Result, ResultExt as _};

use crate::{
    Failure, NeedsParents,
    lower::{Below, Lower, is_opaque},
    tree::{At as _, open_directory},
};

/// Gives directories that a layer implied the owner, mode, time and attributes that they have in the nearest layer
/// below. To be called once, at commit, with [`Unpacked::implied`](crate::Unpacked) of a layer that was unpacked
/// without parents; `parents` are the layers below, nearest first. What no layer below has stays root's, 0755.
///
/// # Errors
/// [`Failure::NeedsParents`] when such a directory is a symbolic link below: the layer must be unpacked again.
pub fn fix_implied(target: &Path, implied: &[PathBuf], parents: &[PathBuf]) -> Result<(), Failure> {
    if implied.is_empty() || parents.is_empty() {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(target, flags, Mode::empty()).map_err(std::io::Error::from);
    let root = opened.step(|| format!("layer: open {}", target.display()))?;
    let lower = Lower::open(parents)?;
    for path in implied {
        let Some(directory) = open_shown(&root, path)? else { continue };
        let bytes = path.as_os_str().as_bytes();
        match lower.find(bytes)? {
            Below::Directory(metadata) => metadata.apply(directory.as_fd(), false, bytes)?,
            Below::Symlink { .. } => {
                let (entry, target) = (path.clone(), path.clone());
                return Err(Failure::NeedsParents(NeedsParents { entry, target }));
            }
            Below::Nothing | Below::Other(_) => {}
        }
    }
    Ok(())
}

/// Opens a directory of the layer, unless one above it hides what is below.
fn open_shown(root: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>> {
    let bytes = path.as_os_str().as_bytes();
    let mut at = rustix::io::fcntl_dupfd_cloexec(root, 0).at("open", bytes)?;
    for name in bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        at = open_directory(at.as_fd(), name).at("open implied directory", bytes)?;
        if is_opaque(&at).at("look at", bytes)? {
            return Ok(None);
        }
    }
    Ok(Some(at))
}
