use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use wharf_error::Result;

use crate::{inner::Inner, time};

/// How long a measurement is good for, nanoseconds: each walks everything that the container has written.
const GOOD_FOR: i64 = 10_000_000_000;

/// What a container has written over its image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WritableLayer {
    /// A folder on its file system.
    pub path: PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
    /// When it was measured, nanoseconds since 1970: ten seconds ago at most.
    pub at: i64,
}

/// The last measurements, by container.
#[derive(Default)]
pub(crate) struct WritableLayers(Mutex<HashMap<String, WritableLayer>>);

// === impl WritableLayers ===

impl WritableLayers {
    /// Forgets containers that are no more.
    pub(crate) fn retain(&self, there: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|container, _| there(container));
    }

    fn known(&self, container: &str, now: i64) -> Option<WritableLayer> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(container).filter(|layer| now - layer.at < GOOD_FOR).cloned()
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) async fn writable_layer(&self, container: &str, snapshot: &str) -> Result<WritableLayer> {
        let now = time::now();
        if let Some(known) = self.writable_layers.known(container, now) {
            return Ok(known);
        }
        let usage = self.snapshots.usage(&self.config.namespace, snapshot).await?;
        let path = self.images.fs_path().to_owned();
        let layer = WritableLayer { path, bytes: usage.bytes, inodes: usage.inodes, at: now };
        let mut known = self.writable_layers.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(container.to_owned(), layer.clone());
        Ok(layer)
    }
}
