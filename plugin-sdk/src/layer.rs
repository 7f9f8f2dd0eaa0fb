use crate::{IdRange, Kind, LayerId, Place};

#[cfg(target_arch = "wasm32")]
use crate::bindings::wharf::snapshotter::storage::Layer as Inner;
#[cfg(not(target_arch = "wasm32"))]
use crate::fake::Facts as Inner;

/// The layer that a call is about, as it was when the call began. Each method asks the host.
#[derive(Debug)]
pub struct Layer(Inner);

// === impl Layer ===

impl Layer {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(inner)
    }

    /// Never used twice on one node.
    pub fn id(&self) -> LayerId {
        self.0.id()
    }

    /// What the layer is, or is about to be.
    pub fn kind(&self) -> Kind {
        self.0.kind()
    }

    /// Nearest first, all committed.
    pub fn parents(&self) -> Vec<LayerId> {
        self.0.parents()
    }

    /// `containerd.io/snapshot/…` and the plugin's own.
    pub fn labels(&self) -> Vec<(String, String)> {
        self.0.labels()
    }

    /// Bytes that the layer may grow to.
    pub fn quota(&self) -> Option<u64> {
        self.0.quota()
    }

    /// How the container's user ids map to the host's.
    pub fn uid_map(&self) -> Vec<IdRange> {
        self.0.uid_map()
    }

    /// How the container's group ids map to the host's.
    pub fn gid_map(&self) -> Vec<IdRange> {
        self.0.gid_map()
    }
}

// === impl Place ===

impl Place {
    /// A path in a layer's directory. Checked by the host when it is used.
    pub fn new(layer: LayerId, path: impl Into<String>) -> Self {
        Self { layer, path: path.into() }
    }
}
