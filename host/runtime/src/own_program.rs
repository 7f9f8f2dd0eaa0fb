use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use wharf_error::{Result, ResultExt as _};

use crate::sys::{self, Attributes};

/// Our own program by a detached read-only mount.
///
/// A process executed from it (`/proc/self/fd/N`) has an executable that stays read-only whatever a container that got
/// hold of `/proc/PID/exe` tries: the mount is in no mount table, so it cannot be remounted either. It is the same file
/// still, so all processes share its pages.
pub fn read_only_program() -> Result<OwnedFd> {
    let step = || "protect our own program".into();
    let tree = sys::clone_tree(libc::AT_FDCWD, c"/proc/self/exe", false).map_err(io::Error::from).step(step)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    let tree = unsafe { OwnedFd::from_raw_fd(tree) };
    let attributes = Attributes {
        set: u64::from(sys::READ_ONLY) | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        propagation: libc::MS_PRIVATE,
        ..Attributes::default()
    };
    sys::set_attributes(tree.as_raw_fd(), false, &attributes).map_err(io::Error::from).step(step)?;
    Ok(tree)
}
