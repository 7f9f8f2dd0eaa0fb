use std::{io::Read, sync::Arc};

use wharf_error::Result;
use wharf_registry::{Auth, BlobStream, Client, Reference};

use crate::{import::Archive, selected::Layer};

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

/// The bytes of a layer as its source has them.
pub(crate) enum Blob {
    Stream(BlobStream),
    File(Box<dyn Read + Send>),
}

// === impl Source ===

impl Source {
    pub async fn open(&self, layer: &Layer) -> Result<Blob> {
        match self {
            Self::Registry(from) => {
                from.client.blob(&from.reference, &layer.descriptor, from.auth.as_ref()).await.map(Blob::Stream)
            }
            Self::Archive(archive) => archive.layer(layer).map(Blob::File),
        }
    }

    /// Whether the descriptor's digest is of the bytes as they come: an archive may hold a layer packed otherwise
    /// than its manifest says, and then only the diffID tells whether it is the right one.
    pub fn verifies_blobs(&self) -> bool {
        match self {
            Self::Registry(_) => true,
            Self::Archive(archive) => archive.verifies_blobs(),
        }
    }
}
