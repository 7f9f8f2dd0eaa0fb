use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::{Component, Path, PathBuf},
};

use wharf_error::{Error, Result, ResultExt as _};

use crate::{plan::c_string, sys};

/// A folder beneath which layers are opened by names alone.
#[derive(Debug)]
pub(super) struct Beneath {
    folder: OwnedFd,
    path: PathBuf,
}

impl Beneath {
    /// Opens the folder itself, whose path is the configuration's and trusted.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder = open(libc::AT_FDCWD, path, libc::O_PATH | libc::O_DIRECTORY, 0)?;
        Ok(Self { folder, path: path.to_owned() })
    }

    /// Opens a directory below: never through a symlink, never out.
    pub(super) fn directory(&self, path: &Path) -> Result<OwnedFd> {
        let inner = if path.is_absolute() {
            path.strip_prefix(&self.path)
                .map_err(|_| Error::invalid(format!("{path:?} is not below {:?}", self.path)))?
        } else {
            path
        };
        if inner.components().any(|component| !matches!(component, Component::Normal(_))) {
            return Err(Error::invalid(format!("{path:?} is no plain path below {:?}", self.path)));
        }
        let inner = if inner.as_os_str().is_empty() { Path::new(".") } else { inner };
        let resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
        open(self.folder.as_raw_fd(), inner, libc::O_RDONLY | libc::O_DIRECTORY, resolve)
            .step(|| format!("open layer {}", path.display()))
    }
}

fn open(directory: sys::RawFd, path: &Path, flags: i32, resolve: u64) -> Result<OwnedFd> {
    let opened = sys::open_in(directory, &c_string("path", path)?, flags, resolve).map_err(io::Error::from);
    let fd = opened.step(|| format!("open {}", path.display()))?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
