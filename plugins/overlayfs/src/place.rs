use wharf_plugin_sdk::{LayerId, Place};

/// The directory in which a layer keeps what it changed.
pub(crate) const FS: &str = "fs";

pub(crate) fn fs(layer: LayerId) -> Place {
    Place::new(layer, FS)
}

/// Overlayfs's scratch directory: on the same file system as `fs`, and empty when it is mounted.
pub(crate) fn work(layer: LayerId) -> Place {
    Place::new(layer, "work")
}

/// The layer's own directory.
pub(crate) fn whole(layer: LayerId) -> Place {
    Place::new(layer, "")
}
