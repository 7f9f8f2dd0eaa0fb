use serde::de::DeserializeOwned;

use crate::{Description, Features, Layer, LayerId, Plan, Problem, Result, Usage};

/// A snapshotter. The contract of each function is in `wit/snapshotter/snapshotter.wit`; in short: every one that
/// changes something succeeds when it is done already, for it is repeated after a crash.
///
/// A value lives for one call, so that what it remembers is gone with it.
pub trait Snapshotter: Sized {
    /// The plugin's table of the configuration. Let it `deny_unknown_fields`: a typo is then an error at load.
    type Config: DeserializeOwned;

    /// What the plugin says about itself.
    fn describe() -> Description {
        Description::default()
    }

    /// Judges a configuration that could be read; what could not is refused before.
    fn check_config(_config: &Self::Config) -> Vec<Problem> {
        Vec::new()
    }

    /// Made anew for each call.
    fn new(config: Self::Config) -> Self;

    /// Whether this node is one for it, and what it can do here.
    fn probe(&self) -> Result<Features>;

    /// Makes an active layer or a view, and plans its mounts.
    fn prepare(&self, layer: &Layer, plan: &Plan) -> Result<()>;

    /// Plans the mounts again, without changing anything.
    fn mounts(&self, layer: &Layer, plan: &Plan) -> Result<()>;

    /// Turns an active layer into a committed one; answers what it takes.
    fn commit(&self, layer: &Layer) -> Result<Usage>;

    /// Removes what there is of a layer. Absent is success.
    fn remove(&self, layer: LayerId) -> Result<()>;

    /// What a layer takes.
    fn measure(&self, layer: &Layer) -> Result<Usage>;

    /// Every layer on the disk, half-made ones too.
    fn layers(&self) -> Result<Vec<LayerId>>;
}
