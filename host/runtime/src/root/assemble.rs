use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use wharf_error::{Error, Result, ResultExt as _};

use super::{
    Root, RootKind, RootMount,
    beneath::Beneath,
    overlay::{Layers, Upper, overlay},
};
use crate::sys::{self, Attributes};

/// Builds the root. Nothing appears in the caller's mount table, also not for a moment. Some 0.1 ms with 20 layers.
pub fn assemble_root(root: &RootMount) -> Result<Root> {
    let mount = match &root.kind {
        RootKind::Bind { source, readonly } => bind(&Beneath::open(&root.beneath)?.directory(source)?, *readonly),
        RootKind::Overlay { lowers, upper: None, .. } if lowers.len() == 1 => {
            let [only] = lowers.as_slice() else { return Err(Error::internal("one layer is one layer")) };
            bind(&Beneath::open(&root.beneath)?.directory(only)?, true)
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
            overlay(&Layers { beneath: &root.beneath, lowers, upper })
        }
    };
    Ok(Root { mount: mount.step(|| "assemble root".into())? })
}

fn bind(source: &OwnedFd, readonly: bool) -> Result<OwnedFd> {
    let tree = sys::clone_tree(source.as_raw_fd(), c"", false).map_err(io::Error::from);
    let tree = tree.step(|| "bind the layer".into())?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    let tree = unsafe { OwnedFd::from_raw_fd(tree) };
    make_private(&tree, readonly)?;
    Ok(tree)
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
