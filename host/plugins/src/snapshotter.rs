use std::path::{Path, PathBuf};

use wasmtime::component::Resource;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Features, LayerFacts, Plan, Usage,
    instance::{Answered, Callable, Question},
    one_at_a_time::OneAtATime,
};

/// A snapshotter plugin that is loaded and fit for this node.
///
/// Every method makes one call into the component and blocks until it ends: call them on blocking threads. Calls for one
/// layer wait for each other, [`layers`](Self::layers) for all; the function's deadline bounds the wait and, anew, the
/// call itself.
///
/// Errors say `plugin NAME: FUNCTION layer ID: ` and why. Their kind is the plugin's own code, or `DeadlineExceeded`,
/// `Exhausted` (a limit of the call), `Internal` (a trap), `Cancelled` (the daemon is stopping), `DataLoss` (an answer
/// that the contract does not allow). After any of them the layer is as the function found it, done, or half done:
/// repeat it or call [`remove`](Self::remove).
pub struct Snapshotter {
    callable: Callable,
    root: PathBuf,
    features: Features,
    calls: OneAtATime,
}

// === impl Snapshotter ===

impl Snapshotter {
    pub(crate) fn new(callable: Callable, root: PathBuf, features: Features) -> Self {
        Self { callable, root, features, calls: OneAtATime::default() }
    }

    /// Its name on this node.
    pub fn name(&self) -> &str {
        &self.callable.name
    }

    /// The one folder that it can reach, and beneath which every place of a plan is resolved.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What it answered when it was probed.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Makes an active layer or a view, and plans its mounts. Done already is success with the same plan.
    pub fn prepare(&self, layer: &LayerFacts) -> Result<Plan> {
        let answered = self.about(layer, "prepare", |store, instance| {
            instance.wharf_snapshotter_snapshotter().call_prepare(store, Resource::new_own(0), Resource::new_own(1))
        })?;
        self.plan("prepare", answered)
    }

    /// Plans the mounts of a layer again, without changing anything.
    pub fn mounts(&self, layer: &LayerFacts) -> Result<Plan> {
        let answered = self.about(layer, "mounts", |store, instance| {
            instance.wharf_snapshotter_snapshotter().call_mounts(store, Resource::new_own(0), Resource::new_own(1))
        })?;
        self.plan("mounts", answered)
    }

    /// Turns an active layer into a committed one. With [`Features::unordered`] its parents may be others than at
    /// prepare. Done already is success.
    pub fn commit(&self, layer: &LayerFacts) -> Result<Usage> {
        let answered = self.about(layer, "commit", |store, instance| {
            instance.wharf_snapshotter_snapshotter().call_commit(store, Resource::new_own(0))
        })?;
        Ok(answered.answer.into())
    }

    /// Removes what there is of a layer. Absent is success.
    pub fn remove(&self, layer: u64) -> Result<()> {
        let question = Question { function: "remove", layer: None, id: Some(layer) };
        self.one(&question, |store, instance| instance.wharf_snapshotter_snapshotter().call_remove(store, layer))
            .map(|answered| answered.answer)
    }

    /// What a layer takes now, parents not counted.
    pub fn measure(&self, layer: &LayerFacts) -> Result<Usage> {
        let answered = self.about(layer, "measure", |store, instance| {
            instance.wharf_snapshotter_snapshotter().call_measure(store, Resource::new_own(0))
        })?;
        Ok(answered.answer.into())
    }

    /// Every layer on the disk, half-made ones too, in ascending order. Runs alone.
    pub fn layers(&self) -> Result<Vec<u64>> {
        let question = Question { function: "layers", layer: None, id: None };
        let answered =
            self.one(&question, |store, instance| instance.wharf_snapshotter_snapshotter().call_layers(store))?;
        let mut layers = answered.answer;
        layers.sort_unstable();
        layers.dedup();
        Ok(layers)
    }

    fn about<R>(
        &self,
        layer: &LayerFacts,
        function: &'static str,
        ask: impl FnOnce(
            &mut wasmtime::Store<crate::state::State>,
            &crate::bindings::Snapshotter,
        ) -> wasmtime::Result<std::result::Result<R, crate::contract::Fault>>,
    ) -> Result<Answered<R>> {
        self.one(&Question { function, layer: Some(layer), id: Some(layer.id) }, ask)
    }

    fn one<R>(
        &self,
        question: &Question<'_>,
        ask: impl FnOnce(
            &mut wasmtime::Store<crate::state::State>,
            &crate::bindings::Snapshotter,
        ) -> wasmtime::Result<std::result::Result<R, crate::contract::Fault>>,
    ) -> Result<Answered<R>> {
        let allowed = self.callable.limits.deadline(question.function);
        let Some(_held) = self.calls.hold(question.id, std::time::Instant::now() + allowed) else {
            let what =
                format!("plugin {}: {}: no turn within {} ms", self.name(), question.function, allowed.as_millis());
            return Err(Error::new(Kind::Unavailable, what).hint("another call about the same layer is under way"));
        };
        self.callable.call(question, ask)
    }

    fn plan(&self, function: &str, answered: Answered<()>) -> Result<Plan> {
        answered.state.plan.finish().step(|| format!("plugin {}: {function}", self.name()))
    }
}

impl std::fmt::Debug for Snapshotter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { root, features, .. } = self;
        f.debug_struct("Snapshotter")
            .field("name", &self.name())
            .field("root", root)
            .field("features", features)
            .finish()
    }
}
