use std::{collections::BTreeSet, path::PathBuf, time::Duration};

/// Where images are kept and how they are pulled.
#[derive(Clone, Debug)]
pub struct ImagesConfig {
    /// The folder with `blobs` and `ingest`; made where it is missing.
    pub content_dir: PathBuf,
    /// The folder that [`Images::fs_info`](crate::Images::fs_info) names: on the file system of the snapshots.
    pub fs_path: PathBuf,
    /// Connections of one pull at the same time: one a layer, and more for a large one while there are layers fewer.
    pub max_concurrent_downloads: usize,
    /// Layers of all pulls that are unpacked at the same time; each takes two threads.
    pub max_concurrent_unpacks: usize,
    /// How long a pull goes on that nobody waits for any more.
    pub abandon_after: Duration,
    /// How long what a failed or abandoned pull had got (committed layers, parts of downloads) is kept for the next try.
    pub resume_window: Duration,
    /// The most bytes that a layer may have, compressed and uncompressed.
    pub max_layer_bytes: u64,
    /// The most bytes that the layers of one image that are not here yet may have together, compressed and
    /// uncompressed; and those of an archive that is imported.
    pub max_image_bytes: u64,
    /// Normalised names of images that nothing but their owner's word removes: `registry.example/a/b:tag`.
    pub pinned: BTreeSet<String>,
}

// === impl ImagesConfig ===

impl ImagesConfig {
    /// The usual settings for a content folder.
    pub fn new(content_dir: impl Into<PathBuf>) -> Self {
        let content_dir = content_dir.into();
        let fs_path = content_dir.parent().unwrap_or(&content_dir).to_owned();
        Self {
            content_dir,
            fs_path,
            max_concurrent_downloads: 3,
            max_concurrent_unpacks: 16,
            abandon_after: Duration::from_secs(10),
            resume_window: Duration::from_secs(600),
            max_layer_bytes: 128 << 30,
            max_image_bytes: 256 << 30,
            pinned: BTreeSet::new(),
        }
    }
}
