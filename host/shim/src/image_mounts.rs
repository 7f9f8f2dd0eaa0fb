//! Images as sources of mounts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use oci_spec::runtime::Spec;
use wharf_error::{Result, ResultExt as _};
use wharf_runtime::{Root, UserNamespace, assemble_idmapped_root, assemble_root};
use wharf_shim_api::{CreateOptions, ImageMount, task::Mount};

use crate::rootfs::root_of;

/// One of them, by where it goes. With a user namespace its files belong to the users in there.
pub fn assemble(mount: &ImageMount, root: &Path, user: Option<&UserNamespace>) -> Result<Root> {
    let layers: Vec<_> = mount
        .layers
        .iter()
        .map(|layer| Mount {
            type_: layer.kind.clone(),
            source: layer.source.clone(),
            options: layer.options.clone(),
            ..Mount::default()
        })
        .collect();
    let options = CreateOptions { root: Some(root.to_owned()), ..CreateOptions::default() };
    // Layers there always are: the specification's own root is nothing that is mounted into it.
    let layers = root_of(&layers, &options, &Spec::default(), Path::new("/"))?;
    let whole = match user {
        Some(user) => assemble_idmapped_root(&layers, user)?,
        None => assemble_root(&layers)?,
    };
    if mount.sub_path.as_os_str().is_empty() { Ok(whole) } else { whole.part(&mount.sub_path) }
}

/// All that a container's creation names.
pub fn assemble_all(options: &CreateOptions, user: Option<&UserNamespace>) -> Result<BTreeMap<PathBuf, Root>> {
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    let user = user.filter(|_| options.idmapped_root);
    let one = |mount: &ImageMount| {
        let made = assemble(mount, root, user).step(|| format!("mount {}", mount.destination.display()))?;
        Ok((mount.destination.clone(), made))
    };
    options.image_mounts.iter().map(one).collect()
}
