//! A copy of our own program that nobody can write to.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use rustix::{
    fs::CWD,
    mount::{OpenTreeFlags, open_tree},
};
use wharf_error::{Result, ResultExt as _};

/// Our own program by a detached read-only mount.
///
/// A process exec'ed from it has an executable that stays read-only whatever a container that got hold of
/// `/proc/<pid>/exe` tries: the mount is in no mount table, so it cannot be remounted either. It is the same
/// file still, so all shims share its pages.
pub fn read_only_self() -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, "/proc/self/exe", flags).map_err(io::Error::from);
    let tree = tree.step(|| "protect the shim's program: open_tree".into())?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    // SAFETY: the path is a NUL-terminated literal, `attributes` lives across the call and its size is its own.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if set != 0 {
        return Err(io::Error::last_os_error()).step(|| "protect the shim's program: mount_setattr".into());
    }
    Ok(tree)
}
