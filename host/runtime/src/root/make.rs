use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::{Component, Path, PathBuf},
};

use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    plan::c_string,
    sys::{self, Errno},
};

/// Makes a directory below a root, whose symlinks lead nowhere else, and those above it.
pub(super) fn make_inside(root: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let step = || format!("make {} in the root", path.display());
    let mut so_far = PathBuf::from("/");
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::RootDir | Component::CurDir => continue,
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Error::invalid(format!("{}: it is no plain path", step())));
            }
        };
        let above = open(root, &so_far).map_err(io::Error::from).step(step)?;
        match sys::make_directory(above.as_raw_fd(), &c_string("path", Path::new(name))?, 0o755) {
            Ok(()) | Err(Errno(libc::EEXIST)) => {}
            Err(errno) => return Err(io::Error::from(errno)).step(step),
        }
        so_far.push(name);
    }
    Ok(())
}

fn open(root: BorrowedFd<'_>, path: &Path) -> sys::Sys<OwnedFd> {
    let path = c_string("path", path).map_err(|_| Errno(libc::EINVAL))?;
    let resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let fd = sys::open_in(root.as_raw_fd(), &path, libc::O_PATH | libc::O_DIRECTORY, resolve)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
