use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use wharf_error::{Error, Result, ResultExt as _};

use super::{
    Root, RootKind, RootMount,
    beneath::Beneath,
    idmap::idmap_tree,
    idmapped_overlay::overlay_for,
    overlay::{Layers, Upper, overlay},
};
use crate::{
    UserNamespace,
    plan::c_string,
    sys::{self, Attributes},
};

/// Builds the root. Nothing appears in the caller's mount table, also not for a moment. Some 0.1 ms with 20 layers.
pub fn assemble_root(root: &RootMount) -> Result<Root> {
    assemble(root, None)
}

/// Builds the root for a user namespace: what belongs to 0 on the disk belongs to its root, and what its root makes
/// belongs to 0 on the disk. So a layer serves containers of all mappings, with one set of files.
///
/// # Errors
///
/// `FailedPrecondition` where the layers' file system, or this kernel's overlayfs (before 5.19), cannot do that.
pub fn assemble_idmapped_root(root: &RootMount, user: &UserNamespace) -> Result<Root> {
    assemble(root, Some(user))
}

fn assemble(root: &RootMount, user: Option<&UserNamespace>) -> Result<Root> {
    let mount = match &root.kind {
        RootKind::Bind { source, readonly } => bind(&Beneath::open(&root.beneath)?.directory(source)?, *readonly, user),
        RootKind::Tree { source } => tree(&Beneath::open(&root.beneath)?.directory(source)?, user),
        RootKind::Overlay { lowers, upper: None, .. } if lowers.len() == 1 => {
            let [only] = lowers.as_slice() else { return Err(Error::internal("one layer is one layer")) };
            bind(&Beneath::open(&root.beneath)?.directory(only)?, true, user)
        }
        RootKind::Overlay { lowers, upper, work, volatile } => {
            if lowers.is_empty() {
                return Err(Error::invalid("an overlay needs a lower layer"));
            }
            let upper = match (upper, work) {
                (Some(upper), Some(work)) => Some(Upper { upper, work, volatile: *volatile }),
                (None, None) => None,
                (Some(_), None) => return Err(Error::invalid("an overlay's upper layer needs a work directory")),
                (None, Some(_)) => return Err(Error::invalid("an overlay's work directory needs an upper layer")),
            };
            let label = root.label.as_ref().map(|label| c_string("root's label", label)).transpose()?;
            let layers = Layers { beneath: &root.beneath, lowers, upper, label: label.as_deref() };
            match user {
                None => overlay(&layers),
                Some(user) => overlay_for(&layers, user),
            }
        }
    };
    Ok(Root { mount: mount.step(|| "assemble root".into())? })
}

fn bind(source: &OwnedFd, readonly: bool, user: Option<&UserNamespace>) -> Result<OwnedFd> {
    let tree = clone(source)?;
    if let Some(user) = user {
        idmap_tree(&tree, user, false)?;
    }
    make_private(&tree, readonly)?;
    Ok(tree)
}

/// Cut off from its peers with all that is mounted in it.
fn tree(source: &OwnedFd, user: Option<&UserNamespace>) -> Result<OwnedFd> {
    let tree = clone_with(source, true)?;
    if let Some(user) = user {
        idmap_tree(&tree, user, true)?;
    }
    let attributes = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
    let set = sys::set_attributes(tree.as_raw_fd(), true, &attributes).map_err(io::Error::from);
    set.step(|| "set the root's mount options".into())?;
    Ok(tree)
}

/// A detached mount of a directory.
pub(super) fn clone(directory: &OwnedFd) -> Result<OwnedFd> {
    clone_with(directory, false)
}

fn clone_with(directory: &OwnedFd, recursive: bool) -> Result<OwnedFd> {
    let tree = sys::clone_tree(directory.as_raw_fd(), c"", recursive).map_err(io::Error::from);
    let tree = tree.step(|| "bind the layer".into())?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(tree) })
}

/// Cuts a detached mount off from its peers, and makes it read-only where wanted.
pub(super) fn make_private(mount: &OwnedFd, readonly: bool) -> Result<()> {
    let attributes = Attributes {
        set: if readonly { u64::from(sys::READ_ONLY) } else { 0 },
        propagation: libc::MS_PRIVATE,
        ..Attributes::default()
    };
    let set = sys::set_attributes(mount.as_raw_fd(), false, &attributes).map_err(io::Error::from);
    set.step(|| "set the root's mount options".into())
}
