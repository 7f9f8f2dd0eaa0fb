use std::{collections::BTreeMap, path::PathBuf};

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_layers::{Descriptor, Failure, UnpackOptions, Unpacked};
use wharf_plugins::Content;
use wharf_snapshots::ContentTarget;

use super::{
    extraction::Extraction,
    feed::{FileReader, channel, feed},
    source::Blob,
};
use crate::{flights::Flight, progress::LayerState, selected::Layer};

/// The name that a snapshot is going to have, told to the plugin.
const REFERENCE_LABEL: &str = "containerd.io/snapshot.ref";

/// What became of one layer. The flight keeps others from making the same one until it is committed.
pub(super) enum Written {
    /// Somebody else committed it meanwhile.
    There,
    /// It is written and verified, and waits to be committed.
    Unpacked { key: String, dir: PathBuf, implied: Vec<PathBuf>, flight: Flight },
    /// It cannot be written before the layers below it.
    NeedsParents { flight: Flight },
}

// === impl Extraction ===

impl Extraction {
    /// Writes one layer into a snapshot of its own, on `parent` where that is given, alone otherwise.
    pub(super) async fn write(self, layer: Layer, parent: Option<Option<String>>) -> Result<Written> {
        let flight = self.core.flights.take(&self.namespace, &layer.chain_id).await;
        if self.core.has_layer(&self.namespace, &layer.chain_id).await? {
            return Ok(Written::There);
        }
        // After the flight: a layer that waits for another pull takes no turn from one that could go on.
        let closed = |_| Error::internal("images: no turns any more");
        let _turn = self.turns.acquire().await.map_err(closed)?;
        let _unpack = self.core.unpacks.acquire().await.map_err(closed)?;
        let alone = parent.is_none();
        let (key, target) = self.prepare(&layer, parent.flatten().as_deref()).await?;
        match self.unpack(&layer, &target).await {
            Ok(unpacked) => {
                self.progress.state(layer.index, LayerState::Unpacked);
                Ok(Written::Unpacked { key, dir: target.dir, implied: unpacked.implied, flight })
            }
            Err(Failure::NeedsParents(needs)) if alone && layer.parent.is_some() => {
                tracing::debug!(layer = %layer.descriptor.digest(), %needs, "the layer is fetched again later");
                self.scratch.discard(&key).await?;
                Ok(Written::NeedsParents { flight })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Makes an empty snapshot for a layer.
    pub(super) async fn prepare(&self, layer: &Layer, parent: Option<&str>) -> Result<(String, ContentTarget)> {
        let key = self.scratch.key();
        let labels = BTreeMap::from([(REFERENCE_LABEL.to_owned(), layer.chain_id.clone())]);
        self.core.snapshots.prepare(&self.namespace, &key, parent, labels).await?;
        let target = self.core.snapshots.content_dir(&self.namespace, &key).await?;
        match &target.content {
            Content::OverlayDiff(_) => Ok((key, target)),
            other => {
                let text = format!("snapshotter {}: layers as {other}", self.core.snapshots.plugin());
                Err(Error::new(Kind::Unsupported, text))
            }
        }
    }

    /// Gets a layer's bytes and writes them, verified, below `target`.
    pub(super) async fn unpack(&self, layer: &Layer, target: &ContentTarget) -> Result<Unpacked, Failure> {
        self.progress.state(layer.index, LayerState::Downloading);
        let options = UnpackOptions {
            compression: layer.compression,
            expected: self
                .source
                .verifies_blobs()
                .then(|| Descriptor { digest: layer.descriptor.digest().to_string(), size: layer.descriptor.size() }),
            diff_id: Some(layer.diff_id.clone()),
            parents: target.parents.clone(),
            ..UnpackOptions::default()
        };
        let dir = target.dir.clone();
        let progress = self.progress.layer(layer.index);
        match self.source.open(layer).await? {
            Blob::File(file) => {
                let reader = FileReader::new(file, self.scratch.cancelled(), progress);
                self.scratch.blocking(move || wharf_layers::unpack(reader, &dir, &options)).await?
            }
            Blob::Stream(stream) => {
                let (sender, reader) = channel();
                let job = self.scratch.blocking(move || wharf_layers::unpack(reader, &dir, &options));
                let mut job = std::pin::pin!(job);
                tokio::select! {
                    // It ends before the download where it found a fault.
                    result = &mut job => result?,
                    () = feed(stream, sender, progress) => job.await?,
                }
            }
        }
    }

    /// The directories of the layers from `top` down: what a snapshot on it would stand on.
    pub(super) async fn directories_of(&self, layer: &Layer, top: &str) -> Result<Vec<PathBuf>> {
        let (key, target) = self.prepare(layer, Some(top)).await.step(|| format!("look below at {top}"))?;
        self.scratch.discard(&key).await?;
        Ok(target.parents)
    }
}
