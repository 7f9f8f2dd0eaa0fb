use std::{io::Read, sync::Arc};

use wharf_error::Result;
use wharf_registry::path_of;

use super::files::Files;
use crate::selected::Layer;

/// Where the layers of one image are in its archive.
pub(crate) struct Archive {
    pub(super) files: Arc<Files>,
    pub(super) layers: Layers,
}

pub(super) enum Layers {
    /// By digest, in `blobs`.
    Blobs,
    /// By these paths, bottom first.
    Paths(Vec<String>),
}

// === impl Archive ===

impl Archive {
    pub fn layer(&self, layer: &Layer) -> Result<Box<dyn Read + Send>> {
        match &self.layers {
            Layers::Blobs => self.files.open_file(&format!("blobs/{}", path_of(layer.descriptor.digest())?)),
            Layers::Paths(paths) => {
                self.files.open_file(paths.get(layer.index).map(String::as_str).unwrap_or_default())
            }
        }
    }

    pub fn verifies_blobs(&self) -> bool {
        matches!(self.layers, Layers::Blobs)
    }
}
