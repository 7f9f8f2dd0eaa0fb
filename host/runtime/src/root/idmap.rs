use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
};

use wharf_error::{Error, Kind, Result};

use crate::{
    UserNamespace,
    sys::{self, Attributes, Errno},
};

/// Lets the files of a detached tree belong to a user namespace's users: owned by 0 on the disk, they are its root's.
pub(crate) fn idmap_tree(tree: &impl AsFd, user: &UserNamespace, recursive: bool) -> Result<()> {
    let attributes = Attributes {
        set: sys::IDMAP,
        user_namespace: u64::from(user.as_fd().as_raw_fd().unsigned_abs()),
        ..Attributes::default()
    };
    sys::set_attributes(tree.as_fd().as_raw_fd(), recursive, &attributes).map_err(explain)
}

fn explain(errno: Errno) -> Error {
    let error = |what: &str| Error::new(Kind::FailedPrecondition, format!("idmap the mount: {what}"));
    match errno {
        Errno(libc::EINVAL) => error("its file system does not support idmapped mounts on this kernel")
            .hint("ext4, xfs, btrfs, erofs and, from kernel 6.3, tmpfs do; overlayfs and NFS do not"),
        Errno(libc::EPERM) => error("it is idmapped already, or not this node's to map"),
        errno => error("mount_setattr").because(io::Error::from(errno)),
    }
}
