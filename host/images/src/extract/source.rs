use std::sync::Arc;

use wharf_registry::{Auth, Client, Reference};

use crate::import::Archive;

/// Where layers come from.
pub(crate) enum Source {
    Registry(Box<Repository>),
    Archive(Arc<Archive>),
}

/// A repository of a registry, and what may be shown to it.
pub(crate) struct Repository {
    pub client: Client,
    pub reference: Reference,
    pub auth: Option<Auth>,
}

// === impl Source ===

impl Source {
    /// Whether the descriptor's digest is of the bytes as they come: an archive may hold a layer packed otherwise
    /// than its manifest says, and then only the diffID tells whether it is the right one.
    pub fn verifies_blobs(&self) -> bool {
        match self {
            Self::Registry(_) => true,
            Self::Archive(archive) => archive.verifies_blobs(),
        }
    }
}
