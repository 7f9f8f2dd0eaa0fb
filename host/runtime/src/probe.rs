//! What this node can do, found out by doing it.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use wharf_error::{Result, ResultExt as _};

use crate::{
    IdMapping, IdMappings, RootKind, RootMount, UserNamespace, assemble_idmapped_root,
    sys::{self, Attributes},
};

/// A folder that is gone with the probe.
struct Scratch(PathBuf);

/// Whether containers with a user namespace can be made from layers in this folder: makes a user namespace, and an overlay
/// of layers that are mapped for it. Some milliseconds; nothing is left.
///
/// # Errors
///
/// The reason why not.
pub fn probe_user_namespaces(folder: &Path) -> Result<()> {
    let all = vec![IdMapping { container: 0, host: 65_536, size: 65_536 }];
    let user = UserNamespace::create(IdMappings::new(all.clone(), all)?)?;
    let scratch = Scratch::new(folder)?;
    for own in ["lower", "layer", "layer/fs", "layer/work"] {
        let path = scratch.0.join(own);
        fs::create_dir(&path).step(|| format!("make {}", path.display()))?;
    }
    let root = RootMount {
        label: None,
        kind: RootKind::Overlay {
            lowers: vec!["lower".into()],
            upper: Some("layer/fs".into()),
            work: Some("layer/work".into()),
            volatile: true,
        },
        beneath: scratch.0.clone(),
    };
    assemble_idmapped_root(&root, &user).map(drop)
}

/// Whether a mount can be made read-only with all that is mounted below it.
///
/// # Errors
///
/// The reason why not.
pub fn probe_recursive_read_only() -> Result<()> {
    let tried = sys::clone_tree(libc::AT_FDCWD, c"/", true).and_then(|tree| {
        // SAFETY: the kernel has just made this descriptor for us alone.
        let tree = unsafe { OwnedFd::from_raw_fd(tree) };
        let readonly = Attributes { set: u64::from(sys::READ_ONLY), ..Attributes::default() };
        sys::set_attributes(tree.as_raw_fd(), true, &readonly)
    });
    tried.map_err(io::Error::from).step(|| "make a copy of all mounts read-only".into())
}

impl Scratch {
    /// Always of the same name: what a killed probe left is taken away by the next one.
    fn new(folder: &Path) -> Result<Self> {
        let scratch = Self(folder.join(".probe"));
        match fs::remove_dir_all(&scratch.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).step(|| format!("remove {}", scratch.0.display()));
            }
            _ => {}
        }
        fs::create_dir(&scratch.0).step(|| format!("make {}", scratch.0.display()))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "remove the folder of a probe");
        }
    }
}
