use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::Semaphore;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_layers::Budget;

use super::{commit::Committer, layer::Written, source::Source};
use crate::{
    ImagesConfig,
    core::Core,
    progress::{LayerState, Reporter},
    scratch::Scratch,
    selected::{Layer, Selected},
    spool::Spool,
};

/// Shared by all layers of one image.
#[derive(Clone)]
pub(super) struct Extraction {
    pub core: Arc<Core>,
    pub namespace: Arc<str>,
    pub source: Arc<Source>,
    pub progress: Reporter,
    pub scratch: Scratch,
    /// Connections of this image at the same time.
    pub turns: Arc<Semaphore>,
    /// Those that have to be made.
    pub layers: Arc<[Layer]>,
    /// Uncompressed bytes that they may have together.
    pub budget: Arc<Budget>,
    /// Bytes that are here before their layer asks for them, by its index.
    held: Arc<Mutex<HashMap<usize, Arc<Spool>>>>,
}

// === impl Extraction ===

impl Extraction {
    pub fn held(&self) -> MutexGuard<'_, HashMap<usize, Arc<Spool>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a committed snapshot of every layer that is not one yet. The layers' chain IDs must be leased.
///
/// # Errors
/// The first layer's from the bottom that failed; it names the layer. `Exhausted`, before anything is fetched, for
/// layers that say that they are larger than is allowed.
pub(crate) async fn extract(
    core: &Arc<Core>,
    namespace: &str,
    selected: &Selected,
    source: Source,
    progress: &Reporter,
    scratch: &Scratch,
) -> Result<()> {
    let missing = missing(core, namespace, &selected.layers, progress).await?;
    if missing.is_empty() {
        return Ok(());
    }
    check_sizes(core, missing)?;
    let extraction = Extraction {
        core: core.clone(),
        namespace: namespace.into(),
        source: Arc::new(source),
        progress: progress.clone(),
        scratch: scratch.clone(),
        turns: Arc::new(Semaphore::new(core.config.max_concurrent_downloads.max(1))),
        layers: missing.into(),
        budget: Arc::new(Budget::new(core.config.max_image_bytes)),
        held: Arc::default(),
    };
    let in_any_order = core.snapshots.can_commit_onto();
    let mut committer = Committer::new(extraction.clone(), missing.len() == selected.layers.len());
    if in_any_order {
        return all_at_once(&extraction, missing, committer).await;
    }
    // Their tasks end with the scratch's.
    for layer in missing {
        drop(scratch.spawn(extraction.clone().fetch_ahead(layer.clone())));
    }
    for layer in missing {
        let step = || format!("layer {}", layer.descriptor.digest());
        let written = extraction.clone().write(layer.clone(), Some(layer.parent.clone())).await.step(step)?;
        committer.commit(layer, written).await.step(step)?;
    }
    Ok(())
}

/// By what the manifest says; what comes out of them is measured when it does.
fn check_sizes(core: &Core, layers: &[Layer]) -> Result<()> {
    let ImagesConfig { max_layer_bytes, max_image_bytes, .. } = core.config;
    let mut sum = 0_u64;
    for layer in layers {
        let size = layer.descriptor.size();
        if size > max_layer_bytes {
            let text = format!("layer {}: {size} bytes, more than {max_layer_bytes}", layer.descriptor.digest());
            let hint = "raise max_layer_bytes in [registry] of the configuration";
            return Err(Error::new(Kind::Exhausted, text).hint(hint));
        }
        sum = sum.saturating_add(size);
    }
    if sum > max_image_bytes {
        let text = format!("its layers have {sum} bytes, more than {max_image_bytes}");
        let hint = "raise max_image_bytes in [registry] of the configuration";
        return Err(Error::new(Kind::Exhausted, text).hint(hint));
    }
    Ok(())
}

/// Writes layers as turns allow and commits each when those below it are; ends with the first that fails.
async fn all_at_once(extraction: &Extraction, layers: &[Layer], mut committer: Committer) -> Result<()> {
    let begin = |(at, layer): (usize, &Layer)| {
        let written = extraction.scratch.spawn(extraction.clone().write(layer.clone(), None));
        async move { (at, written.await) }
    };
    let mut writing: FuturesUnordered<_> = layers.iter().enumerate().map(begin).collect();
    let mut waiting: Vec<Option<Written>> = layers.iter().map(|_| None).collect();
    let mut next = 0;
    while let Some((at, written)) = writing.next().await {
        let step = |at: usize| format!("layer {}", layers[at].descriptor.digest());
        let written = written.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "its task ended early")));
        waiting[at] = Some(written.step(|| step(at))?);
        while let Some(written) = waiting.get_mut(next).and_then(Option::take) {
            committer.commit(&layers[next], written).await.step(|| step(next))?;
            next += 1;
        }
    }
    Ok(())
}

/// The layers above the topmost one that is here: a committed snapshot stands on all its parents.
async fn missing<'a>(core: &Core, namespace: &str, layers: &'a [Layer], progress: &Reporter) -> Result<&'a [Layer]> {
    for (index, layer) in layers.iter().enumerate().rev() {
        if core.has_layer(namespace, &layer.chain_id).await? {
            (0..=index).for_each(|index| progress.state(index, LayerState::Done));
            return Ok(&layers[index + 1..]);
        }
    }
    Ok(layers)
}
