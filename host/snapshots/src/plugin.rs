use std::{path::Path, sync::Arc};

use wharf_error::Result;
use wharf_plugins::{Features, LayerFacts, Plan, Snapshotter, Usage};
use wharf_store::Store;

use crate::{Backend, Snapshots};

impl Snapshots {
    /// Opens the book of a snapshotter plugin.
    ///
    /// # Errors
    /// As [`with_backend`](Self::with_backend).
    pub fn new(store: Store, snapshotter: Arc<Snapshotter>) -> Result<Self> {
        Self::with_backend(store, snapshotter)
    }
}

impl Backend for Snapshotter {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn root(&self) -> &Path {
        Self::root(self)
    }

    fn features(&self) -> &Features {
        Self::features(self)
    }

    fn prepare(&self, layer: &LayerFacts) -> Result<Plan> {
        Self::prepare(self, layer)
    }

    fn mounts(&self, layer: &LayerFacts) -> Result<Plan> {
        Self::mounts(self, layer)
    }

    fn commit(&self, layer: &LayerFacts) -> Result<Usage> {
        Self::commit(self, layer)
    }

    fn remove(&self, layer: u64) -> Result<()> {
        Self::remove(self, layer)
    }

    fn measure(&self, layer: &LayerFacts) -> Result<Usage> {
        Self::measure(self, layer)
    }

    fn layers(&self) -> Result<Vec<u64>> {
        Self::layers(self)
    }
}
