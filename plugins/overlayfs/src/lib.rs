//! The overlayfs snapshotter: a layer is the directory of its own changes, a root is an overlay of several.
//!
//! Each layer's directory has `fs`, what the layer changed, with overlay's own whiteouts, and for an active one `work`,
//! overlayfs's scratch. A layer without parents is its `fs`, bound; so is a view of a single layer, read-only.
#![deny(unsafe_code)]

mod overlayfs;
mod place;

pub use self::overlayfs::Overlayfs;

wharf_plugin_sdk::export_snapshotter!(Overlayfs);
