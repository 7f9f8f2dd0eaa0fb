use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{
    assemble::clone,
    beneath::Beneath,
    idmap::idmap_tree,
    overlay::{Layers, in_own_mount_table, overlay},
};
use crate::{UserNamespace, sys};

/// An overlay of layers that belong to a user namespace, as a detached mount.
///
/// Overlayfs itself cannot be idmapped; its layers can. In a mount table of its own each layer is covered by an idmapped
/// mount of itself, and the overlay is made of what is seen then. It is mounted by somebody who, to the layers' file system, is its
/// root: another could not make what overlayfs needs in `work`, and the kernel would bring it up read-only.
pub(super) fn overlay_for(layers: &Layers<'_>, user: &UserNamespace) -> Result<OwnedFd> {
    let root = user.root()?;
    in_own_mount_table(|| {
        let folder = Beneath::open(layers.beneath)?;
        let mut covered: BTreeSet<&Path> = layers.lowers.iter().map(|lower| &**lower).collect();
        if let Some(upper) = &layers.upper {
            // One mount for both, as overlayfs wants it.
            covered.insert(common(upper.upper, upper.work)?);
        }
        for layer in covered {
            let directory = folder.directory(layer)?;
            let mapped = clone(&directory)?;
            idmap_tree(&mapped, user, false).step(|| format!("layer {}", layer.display()))?;
            let attached = sys::attach(mapped.as_raw_fd(), directory.as_raw_fd()).map_err(io::Error::from);
            attached.step(|| format!("layer {}: cover it", layer.display()))?;
        }
        act_as(root).step(|| "become the layers' root".into())?;
        overlay(layers).map_err(|error| match error.kind() {
            Kind::FailedPrecondition | Kind::Internal => {
                error.hint("overlayfs on idmapped layers needs kernel 5.19 or newer")
            }
            _ => error,
        })
    })
}

/// The folder that holds both.
fn common<'a>(upper: &'a Path, work: &Path) -> Result<&'a Path> {
    let shared = upper.ancestors().skip(1).find(|ancestor| work.starts_with(ancestor));
    shared.ok_or_else(|| Error::invalid("an overlay's upper layer and work directory have no folder in common"))
}

/// Of this thread alone, which ends after it.
fn act_as((uid, gid): (u32, u32)) -> Result<()> {
    let set = sys::set_file_user(uid, gid).and_then(|()| {
        let all = sys::permitted_capabilities()?;
        sys::set_capabilities(all, all, 0)
    });
    set.map_err(io::Error::from).step(|| format!("act as {uid}:{gid}"))
}
