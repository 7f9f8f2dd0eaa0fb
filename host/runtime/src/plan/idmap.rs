use std::os::fd::AsFd;

use oci_spec::runtime::Mount;
use wharf_error::{Error, Result};

use crate::{IdMappings, UserNamespace, root::idmap_tree};

/// Maps the owners of files in a detached tree: by the mount's own mappings, or else by those of the container's user
/// namespace.
pub(super) fn idmap(tree: &impl AsFd, mount: &Mount, user: Option<&UserNamespace>, recursive: bool) -> Result<()> {
    let uids = mount.uid_mappings().as_deref().unwrap_or_default();
    let gids = mount.gid_mappings().as_deref().unwrap_or_default();
    if uids.is_empty() && gids.is_empty() {
        let user = user.ok_or_else(|| {
            Error::invalid("option idmap without uidMappings and gidMappings, in a container without a user namespace")
        })?;
        return idmap_tree(tree, user, recursive);
    }
    let mappings = IdMappings::of_mount(uids, gids)?;
    match user.filter(|user| user.mappings().same(&mappings)) {
        Some(user) => idmap_tree(tree, user, recursive),
        None => idmap_tree(tree, &UserNamespace::create(mappings)?, recursive),
    }
}
