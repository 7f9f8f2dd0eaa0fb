use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::Path,
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    plan::c_string,
    sys::{self, Errno},
};

/// Reads a regular file inside a root, whose symlinks lead nowhere else. It is looked at before it is opened: an image
/// may have a device or a FIFO in its place.
pub(crate) fn read_inside(root: BorrowedFd<'_>, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let step = || format!("read {} in the root", path.display());
    let resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let opened = sys::open_in(root.as_raw_fd(), &c_string("path", path)?, libc::O_PATH, resolve);
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno(libc::ENOENT | libc::ENOTDIR)) => return Ok(None),
        Err(errno) => return Err(io::Error::from(errno)).step(step),
    };
    // SAFETY: the kernel has just made this descriptor for us alone.
    let found = unsafe { OwnedFd::from_raw_fd(fd) };
    let what = sys::stat(found.as_raw_fd()).map_err(io::Error::from).step(step)?;
    if what.kind() != libc::S_IFREG {
        return Err(Error::new(Kind::FailedPrecondition, format!("{}: it is no regular file", step())));
    }
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).step(step)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).step(step)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(Error::new(Kind::Exhausted, format!("{}: it has more than {limit} bytes", step())));
    }
    Ok(Some(bytes))
}
