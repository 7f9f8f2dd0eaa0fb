use std::{path::PathBuf, sync::Arc};

use wharf_crash_points::point;
use wharf_error::{Kind, Result};
use wharf_layers::{Failure, fix_implied};

use super::{
    extraction::Extraction,
    layer::{Made, Written},
};
use crate::{progress::LayerState, selected::Layer, spool::Spool};

/// Commits layers from the bottom up.
pub(super) struct Committer {
    extraction: Extraction,
    /// The directories of the layers committed so far, nearest first, where they are known.
    below: Option<Vec<PathBuf>>,
}

// === impl Committer ===

impl Committer {
    /// `from_the_bottom`: whether the first layer has none below it.
    pub fn new(extraction: Extraction, from_the_bottom: bool) -> Self {
        Self { extraction, below: from_the_bottom.then(Vec::new) }
    }

    /// Commits one layer; those below it are committed.
    pub async fn commit(&mut self, layer: &Layer, written: Written) -> Result<()> {
        match written {
            Written::There => {
                self.below = None;
                self.extraction.done_with_bytes(layer, None);
            }
            Written::NeedsParents { bytes, flight } => {
                self.again(layer, bytes.as_ref()).await?;
                self.extraction.done_with_bytes(layer, bytes);
                drop(flight);
            }
            Written::Unpacked { made: Made { key, target, implied, bytes: taken }, bytes, flight } => {
                if self.mended(layer, &target.dir, implied).await? {
                    self.name(layer, &key, Some(target.dir)).await?;
                } else {
                    self.extraction.scratch.discard(&key).await?;
                    self.extraction.budget.give_back(taken);
                    self.again(layer, bytes.as_ref()).await?;
                }
                self.extraction.done_with_bytes(layer, bytes);
                drop(flight);
            }
        }
        self.extraction.progress.state(layer.index, LayerState::Done);
        Ok(())
    }

    /// Gives implied directories what they have below. `false` where the layer must be written again.
    async fn mended(&mut self, layer: &Layer, dir: &std::path::Path, implied: Vec<PathBuf>) -> Result<bool> {
        let Some(parent) = layer.parent.as_deref().filter(|_| !implied.is_empty()) else { return Ok(true) };
        // Where the layer was written on its parent, unpacking has done it, and nothing is left to mend.
        let below = match &self.below {
            Some(below) => below.clone(),
            None => self.extraction.directories_of(layer, parent).await?,
        };
        self.below = Some(below.clone());
        let dir = dir.to_owned();
        match self.extraction.scratch.blocking(move || fix_implied(&dir, &implied, &below)).await? {
            Ok(()) => Ok(true),
            Err(Failure::NeedsParents(_)) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Writes a layer once more, on the layers below it.
    async fn again(&mut self, layer: &Layer, bytes: Option<&Arc<Spool>>) -> Result<()> {
        let Made { key, target, .. } = self.extraction.make(layer, layer.parent.as_deref(), bytes, None).await?;
        self.below = Some(target.parents);
        self.name(layer, &key, Some(target.dir)).await
    }

    async fn name(&mut self, layer: &Layer, key: &str, dir: Option<PathBuf>) -> Result<()> {
        let Extraction { core, namespace, scratch, .. } = &self.extraction;
        let snapshots = &core.snapshots;
        let committed = if snapshots.can_commit_onto() {
            snapshots.commit_onto(namespace, &layer.chain_id, key, layer.parent.as_deref()).await
        } else {
            snapshots.commit(namespace, &layer.chain_id, key).await
        };
        match committed {
            Ok(()) => {
                point!("images.layer.committed");
                scratch.committed(key);
                self.below = match (self.below.take(), dir) {
                    (Some(below), Some(dir)) => Some(std::iter::once(dir).chain(below).collect()),
                    _ => None,
                };
                Ok(())
            }
            // A containerd client unpacked the same layer: its snapshot is as good.
            Err(error) if error.kind() == Kind::AlreadyExists => {
                scratch.discard(key).await?;
                self.below = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
