use std::path::Path;

use wharf_error::Result;
use wharf_plugins::{Features, LayerFacts, Plan, Usage};

/// What lays out layers on a disk: a snapshotter plugin, or a test's double. There is no native one.
///
/// Calls block; each ends by a deadline of its own. All are idempotent. One call at a time is made for a layer, and
/// none beside [`layers`](Self::layers).
pub trait Backend: Send + Sync + 'static {
    /// The plugin's name.
    fn name(&self) -> &str;
    /// The folder that all its layers are in.
    fn root(&self) -> &Path;
    /// What it answered when it was probed: a backend that did not is none.
    fn features(&self) -> &Features;
    /// Makes an active layer or a view.
    fn prepare(&self, layer: &LayerFacts) -> Result<Plan>;
    /// Plans the mounts of a layer that is there.
    fn mounts(&self, layer: &LayerFacts) -> Result<Plan>;
    /// Makes an active layer a committed one, of the same id.
    fn commit(&self, layer: &LayerFacts) -> Result<Usage>;
    /// Removes a layer; absent is success.
    fn remove(&self, layer: u64) -> Result<()>;
    /// What the layer takes now.
    fn measure(&self, layer: &LayerFacts) -> Result<Usage>;
    /// All layers on the disk, half-made ones too.
    fn layers(&self) -> Result<Vec<u64>>;
}
