use std::{path::Path, sync::Arc};

use tokio::sync::watch;
use wharf_error::{Result, ResultExt as _};
use wharf_registry::{Auth, Client, Reference};
use wharf_snapshots::Snapshots;
use wharf_store::Store;

use crate::{FsInfo, Image, ImagesConfig, Progress, collect, core::Core, import, pull::Operations, sweep};

/// The images of all namespaces. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Images {
    core: Arc<Core>,
    operations: Operations,
}

// === impl Images ===

impl Images {
    /// Opens the book. Images whose layers are gone (a power cut takes what was not yet on the disk) are dropped, to
    /// be pulled again; what a killed daemon left half-written is removed in the background.
    ///
    /// # Errors
    /// Where the content folder or the store cannot be read or written.
    pub async fn open(store: Store, snapshots: Snapshots, client: Client, config: ImagesConfig) -> Result<Self> {
        let opening = tokio::task::spawn_blocking(move || Core::new(store, snapshots, client, config));
        let core = Arc::new(opening.await.step(|| "images: open".into())??);
        sweep::drop_broken(&core).await.step(|| "images: check what is recorded".into())?;
        let background = core.clone();
        tokio::spawn(async move {
            if let Err(error) = sweep::left_overs(&background).await {
                tracing::warn!(%error, "images: remove what an earlier daemon left");
            }
        });
        tokio::spawn(collect::now_and_then(Arc::downgrade(&core)));
        Ok(Self { operations: Operations::new(core.clone()), core })
    }

    /// Gets an image from its registry, and records it under the reference and under its digest. A tag that has
    /// moved takes its name along.
    ///
    /// The work is an operation of its own: callers with the same reference and credentials join it, a caller that
    /// goes away leaves it running, and it is given up when nobody has waited for a while. `progress`, where given,
    /// follows it.
    ///
    /// # Errors
    /// Those of [`Client::resolve`] and [`Client::blob`]; `NotFound` where the image is not for this platform;
    /// `DataLoss` where bytes are not what their digests say; `Unsupported` for what is no container image;
    /// `Exhausted` for a full disk, and for more bytes than [`ImagesConfig`] allows. After a failure nothing half-made
    /// is left; good layers and parts of downloads are kept for [a while](ImagesConfig::resume_window), but not where it
    /// was room that was lacking.
    pub async fn pull(
        &self,
        namespace: &str,
        reference: &Reference,
        auth: Option<Auth>,
        progress: Option<watch::Sender<Progress>>,
    ) -> Result<Image> {
        self.operations.pull(namespace, reference, auth, progress).await
    }

    /// Takes the images of an OCI layout (a folder or an archive of one) or of a `docker save` archive, plain or
    /// compressed. They are called what the archive calls them; where it holds one image, `name` takes the place of that.
    /// All of them are recorded in one step, or none. Dropping the future ends the work, and what it had written is removed
    /// in the background.
    ///
    /// # Errors
    /// As [`pull`](Self::pull); `InvalidArgument` for what is no such archive, or has no names; `Exhausted` also for
    /// more bytes than [`max_image_bytes`](ImagesConfig::max_image_bytes). They do not name the archive: whoever sent it
    /// knows it by another path, or none.
    pub async fn import(&self, namespace: &str, path: &Path, name: Option<&str>) -> Result<Vec<Image>> {
        import::run(&self.core, namespace, path, name).await
    }

    /// The most bytes that an archive may have that is to be imported.
    pub fn max_archive_bytes(&self) -> u64 {
        self.core.config.max_image_bytes
    }

    /// All images of a namespace.
    ///
    /// # Errors
    /// Those of the store and the disk.
    pub async fn list(&self, namespace: &str) -> Result<Vec<Image>> {
        let entries = self.core.book(namespace).await?.entries();
        self.core.assemble(entries).await
    }

    /// The image that a name (in any spelling), a digest, an id or the beginning of an id means.
    ///
    /// # Errors
    /// `InvalidArgument` for the beginning of more than one id, and for what can be no image's name.
    pub async fn get(&self, namespace: &str, reference: &str) -> Result<Option<Image>> {
        let entry = self.core.book(namespace).await?.find(reference)?;
        let images = self.core.assemble(entry.into_iter().collect()).await?;
        Ok(images.into_iter().next())
    }

    /// Removes an image with all its names, and the layers that nothing else needs. Layers below a container stay
    /// until that is gone, and go with the next [`collect`](Self::collect). An absent image is success.
    ///
    /// # Errors
    /// As [`get`](Self::get), and those of the snapshotter.
    pub async fn remove(&self, namespace: &str, reference: &str) -> Result<()> {
        self.core.remove(namespace, reference).await
    }

    /// As [`remove`](Self::remove) for a name that is the image's last, an id or the beginning of one. Of other names, that
    /// alone is taken away, with what names the image by digest in a repository that has no tag of it any more.
    ///
    /// # Errors
    /// Those of [`remove`](Self::remove).
    pub async fn untag(&self, namespace: &str, reference: &str) -> Result<()> {
        self.core.untag(namespace, reference).await
    }

    /// Removes the layers and documents that no image, no container and no pull under way needs.
    ///
    /// # Errors
    /// Those of the store; a layer that cannot be removed is logged and stays.
    pub async fn collect(&self, namespace: &str) -> Result<()> {
        self.core.collect(namespace).await
    }

    /// A folder on the file system of images and layers.
    pub fn fs_path(&self) -> &Path {
        &self.core.config.fs_path
    }

    /// What images and containers' layers take on their file system, at most ten seconds old unless images changed.
    ///
    /// # Errors
    /// Those of the store and the snapshotter.
    pub async fn fs_info(&self) -> Result<FsInfo> {
        self.core.fs_info().await
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images").field("config", &self.core.config).finish_non_exhaustive()
    }
}
