use std::path::PathBuf;

use crate::inner::Inner;

/// What a container has written over its image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WritableLayer {
    /// A folder on its file system.
    pub path: PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
    /// When it was measured, nanoseconds since 1970.
    pub at: i64,
}

// === impl Inner ===

impl Inner {
    /// As it was measured lately; none where that has not been done yet, or cannot be. Takes a second at most.
    pub(crate) async fn writable_layer(&self, snapshot: &str) -> Option<WritableLayer> {
        let measured = self.snapshots.usage_lately(&self.config.namespace, snapshot).await?;
        let path = self.images.fs_path().to_owned();
        Some(WritableLayer { path, bytes: measured.usage.bytes, inodes: measured.usage.inodes, at: measured.at })
    }
}
