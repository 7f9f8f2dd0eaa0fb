use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{Root, assemble::make_private, overlay::in_own_mount_table};
use crate::{plan::c_string, sys};

// === impl Root ===

impl Root {
    /// A file or folder inside by itself, read-only and without what is mounted below it; symlinks on the way stay
    /// inside.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such path.
    pub fn part(self, path: &Path) -> Result<Self> {
        let mount = self.into_mount();
        // The kernel copies mounts of a table alone, and only a recent one those that are in none.
        let part = in_own_mount_table(|| {
            let here = |done: sys::Sys<sys::RawFd>, what: &str| {
                let fd = done.map_err(io::Error::from).step(|| what.to_owned())?;
                // SAFETY: the kernel has just made this descriptor for us alone.
                Ok::<_, Error>(unsafe { OwnedFd::from_raw_fd(fd) })
            };
            // Any directory serves as mount point.
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            let place = here(sys::open_in(libc::AT_FDCWD, c"/proc", flags, 0), "open a mount point")?;
            let attached = sys::attach(mount.as_raw_fd(), place.as_raw_fd()).map_err(io::Error::from);
            attached.step(|| "mount the image".into())?;
            let resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_XDEV;
            let inside = sys::open_in(mount.as_raw_fd(), &c_string("path", path)?, libc::O_PATH, resolve);
            let inside = match inside {
                Err(sys::Errno(libc::ENOENT | libc::ENOTDIR)) => {
                    let what = format!("path {} in the image", path.display());
                    return Err(Error::new(Kind::NotFound, format!("{what}: no such file or directory")));
                }
                opened => here(opened, "open a path in the image")?,
            };
            let part = here(sys::clone_tree(inside.as_raw_fd(), c"", false), "take a path of the image by itself")?;
            make_private(&part, true)?;
            Ok(part)
        })?;
        Ok(Self { mount: part })
    }
}
