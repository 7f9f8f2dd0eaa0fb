use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_layers::{Descriptor, Failure, Limits, UnpackOptions};
use wharf_plugins::Content;
use wharf_snapshots::ContentTarget;

use super::{archive_reader::ArchiveReader, extraction::Extraction, source::Source};
use crate::{
    flights::Flight,
    progress::LayerState,
    selected::Layer,
    spool::{Spool, SpoolReader, Stop},
};

/// The name that a snapshot is going to have, told to the plugin.
const REFERENCE_LABEL: &str = "containerd.io/snapshot.ref";

/// What became of one layer. The flight keeps others from making the same one until it is committed.
pub(super) enum Written {
    /// Somebody else committed it meanwhile.
    There,
    /// It is written and verified, and waits to be committed. Its bytes are kept until then.
    Unpacked { made: Made, bytes: Option<Arc<Spool>>, flight: Flight },
    /// It cannot be written before the layers below it.
    NeedsParents { bytes: Option<Arc<Spool>>, flight: Flight },
}

/// A snapshot with a layer's content.
pub(super) struct Made {
    pub key: String,
    pub target: ContentTarget,
    /// Directories that the layer needs and does not describe.
    pub implied: Vec<PathBuf>,
    /// What it took of the budget.
    pub bytes: u64,
}

// === impl Extraction ===

impl Extraction {
    /// Writes one layer into a snapshot of its own, on `parent` where that is given, alone otherwise.
    pub(super) async fn write(self, layer: Layer, parent: Option<Option<String>>) -> Result<Written> {
        let flight = self.core.flights.take(&self.namespace, &layer.chain_id).await;
        if self.core.has_layer(&self.namespace, &layer.chain_id).await? {
            return Ok(Written::There);
        }
        let alone = parent.is_none();
        // After the flight: a layer that waits for another pull takes no turn from one that could go on. Where layers
        // come in order, the turns are for those that are fetched ahead.
        let turn = if alone { Some(self.turn().await?) } else { None };
        let parent = parent.flatten();
        let mut bytes = self.bytes_of(&layer).await?;
        let mut made = self.make(&layer, parent.as_deref(), bytes.as_ref(), turn).await;
        if matches!(&made, Err(Failure::Other(error)) if error.kind() == Kind::DataLoss)
            && let Some(resumed) = bytes.take_if(|bytes| bytes.is_resumed())
        {
            tracing::debug!(layer = %layer.descriptor.digest(), "an earlier try left bad bytes: it is fetched anew");
            self.discard_bytes(resumed).await?;
            bytes = self.bytes_of(&layer).await?;
            made = self.make(&layer, parent.as_deref(), bytes.as_ref(), None).await;
        }
        match made {
            Ok(made) => {
                self.progress.state(layer.index, LayerState::Unpacked);
                Ok(Written::Unpacked { made, bytes, flight })
            }
            Err(Failure::NeedsParents(needs)) if alone && layer.parent.is_some() => {
                tracing::debug!(layer = %layer.descriptor.digest(), %needs, "the layer is written again later");
                Ok(Written::NeedsParents { bytes, flight })
            }
            Err(failure) => {
                let error = Error::from(failure);
                // What the network did not bring may come at the next try; what is wrong will not get better.
                let wrong = matches!(error.kind(), Kind::DataLoss | Kind::InvalidArgument | Kind::Exhausted);
                if let Some(bytes) = bytes.filter(|_| wrong) {
                    self.discard_bytes(bytes).await?;
                }
                Err(error)
            }
        }
    }

    /// Makes a snapshot of the layer's content, verified, from bytes that may still have to be fetched; after a
    /// failure none is left. `turn` is given back as soon as all bytes are here.
    pub(super) async fn make(
        &self,
        layer: &Layer,
        parent: Option<&str>,
        bytes: Option<&Arc<Spool>>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<Made, Failure> {
        let stop = Stop::child_of(&self.scratch.cancelled());
        self.progress.state(layer.index, LayerState::Downloading);
        let Some(spool) = bytes else { return self.unpack(layer, parent, None).await };
        tokio::select! {
            made = self.unpack(layer, parent, Some((spool, &stop))) => made,
            never = self.feed(layer, spool, turn, &stop) => match never {},
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

    /// The directories of the layers from `top` down: what a snapshot on it would stand on.
    pub(super) async fn directories_of(&self, layer: &Layer, top: &str) -> Result<Vec<PathBuf>> {
        let (key, target) = self.prepare(layer, Some(top)).await.step(|| format!("look below at {top}"))?;
        self.scratch.discard(&key).await?;
        Ok(target.parents)
    }

    async fn unpack(
        &self,
        layer: &Layer,
        parent: Option<&str>,
        bytes: Option<(&Arc<Spool>, &Stop)>,
    ) -> Result<Made, Failure> {
        let _unpack = self.core.unpacks.acquire().await.map_err(|_| Error::internal("images: no turns any more"))?;
        let (key, target) = self.prepare(layer, parent).await?;
        point!("images.layer.prepared");
        let options = UnpackOptions {
            compression: layer.compression,
            expected: self
                .source
                .verifies_blobs()
                .then(|| Descriptor { digest: layer.descriptor.digest().to_string(), size: layer.descriptor.size() }),
            diff_id: Some(layer.diff_id.clone()),
            limits: Limits { bytes: self.core.config.max_layer_bytes, ..Limits::default() },
            budget: Some(self.budget.clone()),
            parents: target.parents.clone(),
        };
        let dir = target.dir.clone();
        let unpacked = match (&*self.source, bytes) {
            (Source::Archive(archive), _) => {
                let progress = self.progress.layer(layer.index);
                let reader = ArchiveReader::new(archive.layer(layer)?, self.scratch.cancelled(), progress);
                self.scratch.blocking(move || wharf_layers::unpack(reader, &dir, &options)).await?
            }
            (Source::Registry(_), Some((spool, stop))) => {
                let reader = SpoolReader::new(spool.clone(), stop.clone());
                self.scratch.blocking(move || wharf_layers::unpack(reader, &dir, &options)).await?
            }
            (Source::Registry(_), None) => Err(Error::internal("images: a layer without bytes").into()),
        };
        point!("images.layer.unpacked");
        match unpacked {
            Ok(unpacked) => Ok(Made { key, target, implied: unpacked.implied, bytes: unpacked.bytes }),
            Err(failure) => {
                self.scratch.discard(&key).await?;
                Err(failure)
            }
        }
    }
}
