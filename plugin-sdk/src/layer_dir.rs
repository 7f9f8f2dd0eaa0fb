//! The power `layer-dir`: the plugin's own folder, one directory a layer.
//!
//! Calling any of these makes the component ask for it. The contract of each is in `wit/snapshotter/snapshotter.wit`.

use crate::{LayerId, Place, Result, Usage};

#[cfg(target_arch = "wasm32")]
use crate::bindings::wharf::snapshotter::layer_dir as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::fake::layer_dir as host;

pub use crate::bindings::wharf::snapshotter::layer_dir::Access;

/// Makes a directory with this access, and those above it for root alone. One that is there is given the access.
pub fn make(at: &Place, access: Access) -> Result<()> {
    host::make(at, access)
}

/// Owner and mode.
pub fn get_access(at: &Place) -> Result<Access> {
    host::get_access(at)
}

/// Owner first, then mode.
pub fn set_access(at: &Place, access: Access) -> Result<()> {
    host::set_access(at, access)
}

/// None: there is no such attribute.
pub fn get_xattr(at: &Place, name: &str) -> Result<Option<Vec<u8>>> {
    host::get_xattr(at, name)
}

/// For names that begin with `trusted.` or `user.`.
pub fn set_xattr(at: &Place, name: &str, value: &[u8]) -> Result<()> {
    host::set_xattr(at, name, value)
}

/// Moves in one step; never over something.
pub fn rename(source: &Place, target: &Place) -> Result<()> {
    host::rename(source, target)
}

/// Copies a whole tree to a place where nothing is.
pub fn copy_tree(source: &Place, target: &Place) -> Result<Usage> {
    host::copy_tree(source, target)
}

/// Out of sight at once, deleted in the background. Absent is success.
pub fn remove(at: &Place) -> Result<()> {
    host::remove(at)
}

/// Walks the tree.
pub fn measure(at: &Place) -> Result<Usage> {
    host::measure(at)
}

/// Every layer that has a directory.
pub fn layers() -> Result<Vec<LayerId>> {
    host::layers()
}
