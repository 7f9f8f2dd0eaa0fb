use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};

use tokio::task;
use wharf_error::{Error, Result};
use wharf_plugins::Usage;
use wharf_steps::step;
use wharf_store::Store;

use crate::{
    backend::Backend,
    book,
    commit::Onto,
    core::Core,
    flush::Flusher,
    gc::Collected,
    info::{ContentTarget, Info, Mounts, Problem},
    locks::{Held, Hold, Locks},
    measured::Measurements,
    owner,
    probe::{NoProbe, Probe},
    row::{Kind, Row, Scope, State},
    sweep::{Removal, Swept},
};

/// The snapshots of one plugin, in all namespaces. Cheap to clone; all clones are one.
///
/// A change runs on a blocking thread and to its end, also when its caller goes away; changes of one snapshot wait for
/// each other. `namespace` is containerd's; a key is unique in it among active, view and committed snapshots alike.
#[derive(Clone)]
pub struct Snapshots(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    locks: Locks,
    measurements: Measurements,
    /// Stops when the last clone is dropped.
    _flusher: Flusher,
}

// === impl Snapshots ===

impl Snapshots {
    /// Opens the book of a backend: makes sure that the folder is this store's, finishes or undoes what an earlier
    /// daemon left half-done, drops layers that a reboot may have damaged, and marks what is not where it should be.
    ///
    /// Blocking: a call of the plugin and some more for each unfinished change.
    ///
    /// # Errors
    /// `FailedPrecondition` for a folder that is not this store's, or an empty one although snapshots are recorded;
    /// what the plugin answers when its layers cannot be listed.
    pub fn with_backend(store: Store, backend: Arc<dyn Backend>) -> Result<Self> {
        Self::with_probe(store, backend, Arc::new(NoProbe))
    }

    pub(crate) fn with_probe(store: Store, backend: Arc<dyn Backend>, probe: Arc<dyn Probe>) -> Result<Self> {
        if backend.name().is_empty() || backend.name().contains('/') {
            return Err(Error::invalid(format!("plugin name {:?}: empty, or with a slash", backend.name())));
        }
        let core = Arc::new(Core::new(store, backend, probe));
        let recorded = core.all()?.len();
        owner::claim(core.backend.root(), core.store.id(), recorded)?;
        core.reconcile()?;
        core.sweep(Removal::No)?;
        let flusher = Flusher::start(core.clone())?;
        Ok(Self(Arc::new(Inner {
            core,
            locks: Locks::default(),
            measurements: Measurements::default(),
            _flusher: flusher,
        })))
    }

    /// The folder that all layers are in.
    pub fn root(&self) -> &Path {
        self.0.core.backend.root()
    }

    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        self.0.core.backend.name()
    }

    /// Makes a writable snapshot on top of the committed `parent`, or an empty one.
    ///
    /// # Errors
    /// `AlreadyExists` for a key that is taken; `NotFound` for the parent; `InvalidArgument` for one that is not
    /// committed; `Unsupported` for a quota or id map that the plugin cannot do; the plugin's own, or `Internal` for
    /// a plan that breaks a rule: then nothing is left.
    pub async fn prepare(
        &self,
        namespace: &str,
        key: &str,
        parent: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Mounts> {
        self.make(Kind::Active, namespace, key, parent, labels).await
    }

    /// Makes a read-only look at the committed `parent`.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub async fn view(
        &self,
        namespace: &str,
        key: &str,
        parent: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Mounts> {
        self.make(Kind::View, namespace, key, parent, labels).await
    }

    /// How an active snapshot or a view is mounted; changes nothing.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` for a committed one; `DataLoss` for one that is marked broken.
    pub async fn mounts(&self, namespace: &str, key: &str) -> Result<Mounts> {
        let (scope, held) = self.hold(namespace, [(key, Hold::Alone)]).await;
        let key = key.to_owned();
        self.run("ask the snapshotter how a snapshot is mounted", held, move |core| core.mounts(&scope, &key)).await
    }

    /// Where the content of an active snapshot is written without mounting it.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` for one that is not active.
    pub async fn content_dir(&self, namespace: &str, key: &str) -> Result<ContentTarget> {
        let (scope, held) = self.hold(namespace, [(key, Hold::Shared)]).await;
        let key = key.to_owned();
        self.run("ask the snapshotter where a snapshot is written", held, move |core| core.content(&scope, &key)).await
    }

    /// Makes the active snapshot `key` a committed one called `name`; the key is free then. Its bytes reach the disk
    /// later: if the machine goes down before, the snapshot is gone. A committed snapshot of that name whose layer is
    /// missing is replaced.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` for the name; `FailedPrecondition` for one that is not active; the plugin's own:
    /// then the same commit may be tried again, or the snapshot removed.
    pub async fn commit(&self, namespace: &str, name: &str, key: &str) -> Result<()> {
        let (scope, held) = self.hold(namespace, [(name, Hold::Alone), (key, Hold::Alone)]).await;
        self.0.measurements.forget(namespace, key);
        let (name, key) = (name.to_owned(), key.to_owned());
        self.run("commit a snapshot", held, move |core| core.commit(&scope, &name, &key, Onto::Same)).await
    }

    /// [`commit`](Self::commit) on another parent than it was prepared on, so that layers can be written in any order.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); `Unsupported` where [`can_commit_onto`](Self::can_commit_onto) says no.
    pub async fn commit_onto(&self, namespace: &str, name: &str, key: &str, parent: Option<&str>) -> Result<()> {
        let wanted = [(name, Hold::Alone), (key, Hold::Alone)].into_iter();
        let wanted = wanted.chain(parent.map(|parent| (parent, Hold::Shared)));
        let (scope, held) = self.hold(namespace, wanted).await;
        self.0.measurements.forget(namespace, key);
        let (name, key, onto) = (name.to_owned(), key.to_owned(), Onto::Other(parent.map(str::to_owned)));
        self.run("commit a snapshot", held, move |core| core.commit(&scope, &name, &key, onto)).await
    }

    /// Whether the plugin can commit a layer onto another parent than it was prepared on.
    pub fn can_commit_onto(&self) -> bool {
        self.0.core.backend.features().unordered()
    }

    /// Removes a snapshot of any kind.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` naming those that stand on it; the plugin's own: then it is gone for everybody
    /// but this call, which may be repeated, and the next start repeats it.
    pub async fn remove(&self, namespace: &str, key: &str) -> Result<()> {
        let (scope, held) = self.hold(namespace, [(key, Hold::Alone)]).await;
        self.0.measurements.forget(namespace, key);
        let key = key.to_owned();
        self.run("remove a snapshot", held, move |core| core.remove(&scope, &key)).await
    }

    /// What is known about a snapshot.
    ///
    /// # Errors
    /// `NotFound`, also for one that is half made or half removed.
    pub async fn stat(&self, namespace: &str, key: &str) -> Result<Info> {
        let (core, scope, key) = (self.0.core.clone(), self.0.core.scope(namespace), key.to_owned());
        blocking(move || {
            let row = core.row(&scope, &key)?.filter(visible);
            row.map(|row| Info::new(&key, row)).ok_or_else(|| Error::not_found("snapshot", &key))
        })
        .await
    }

    /// All snapshots of a namespace, by key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, namespace: &str) -> Result<Vec<Info>> {
        let (core, scope) = (self.0.core.clone(), self.0.core.scope(namespace));
        blocking(move || {
            let rows = core.store.read(|reader| book::rows(reader, &scope.rows()))?;
            let visible = rows.into_iter().filter(|(_, row)| visible(row));
            Ok(visible.filter_map(|(at, row)| Scope::of(&at).map(|(_, key)| Info::new(key, row))).collect())
        })
        .await
    }

    /// What a snapshot takes, parents not counted: measured now for an active one, at commit for a committed one. Dear:
    /// who asks again and again asks [`usage_lately`](Self::usage_lately).
    ///
    /// # Errors
    /// `NotFound`; the plugin's own.
    pub async fn usage(&self, namespace: &str, key: &str) -> Result<Usage> {
        let (scope, held) = self.hold(namespace, [(key, Hold::Alone)]).await;
        let key = key.to_owned();
        self.run("measure a snapshot", held, move |core| core.usage(&scope, &key)).await
    }

    /// Removes the committed snapshots of a namespace that nothing needs: not in `keep`, and not below anything that
    /// is kept, active or a view. `keep` must name what a pull under way has committed. A removal that fails does
    /// not stop the others.
    ///
    /// # Errors
    /// Those of the store; failed removals are in the answer.
    pub async fn gc(&self, namespace: &str, keep: &HashSet<String>) -> Result<Collected> {
        let (core, scope, keep) = (self.0.core.clone(), self.0.core.scope(namespace), keep.clone());
        let garbage = blocking(move || core.garbage(&scope, &keep)).await?;
        let mut collected = Collected::default();
        for key in garbage {
            match self.remove(namespace, &key).await {
                Ok(()) => collected.removed.push(key),
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    tracing::warn!(snapshot = key, %error, "gc");
                    collected.failed.push((key, error));
                }
            }
        }
        Ok(collected)
    }

    /// Compares book and disk: a layer that no row knows is set aside by one sweep and removed by the next, unless its
    /// id is `in_use` (named by a live shim); a row without a layer is marked broken. Waits for changes under way, and
    /// they for it.
    ///
    /// # Errors
    /// The plugin's own when layers cannot be listed; failed removals are in the answer.
    pub async fn sweep(&self, in_use: &HashSet<u64>) -> Result<Swept> {
        let held = self.0.locks.hold_all().await;
        let in_use = in_use.clone();
        self.run("compare the snapshots with the disk", held, move |core| core.sweep(Removal::Except(&in_use))).await
    }

    /// Waits until the bytes of all layers committed before are on the disk.
    ///
    /// # Errors
    /// Those of syncfs and the store; a thread of its own tries again.
    pub async fn flush(&self) -> Result<()> {
        let core = self.0.core.clone();
        blocking(move || core.flush()).await
    }

    /// Snapshots that are broken, or that an unfinished change has left behind.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn problems(&self) -> Result<Vec<Problem>> {
        let core = self.0.core.clone();
        blocking(move || {
            let problem = |((scope, key), row): ((Scope, String), Row)| {
                let what = match row.broken {
                    Some(broken) => broken,
                    None if row.is_ready() => return None,
                    None => format!("is {}", row.state),
                };
                Some(Problem { namespace: scope.namespace, key, what })
            };
            Ok(core.all()?.into_iter().filter_map(problem).collect())
        })
        .await
    }

    pub(crate) fn measurements(&self) -> &Measurements {
        &self.0.measurements
    }

    async fn make(
        &self,
        kind: Kind,
        namespace: &str,
        key: &str,
        parent: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Mounts> {
        let wanted = [(key, Hold::Alone)].into_iter().chain(parent.map(|parent| (parent, Hold::Shared)));
        let (scope, held) = self.hold(namespace, wanted).await;
        let (key, parent) = (key.to_owned(), parent.map(str::to_owned));
        self.run("prepare a snapshot", held, move |core| core.prepare(&scope, &key, kind, parent.as_deref(), labels))
            .await
    }

    async fn hold<'a>(&self, namespace: &str, wanted: impl IntoIterator<Item = (&'a str, Hold)>) -> (Scope, Held) {
        let scope = self.0.core.scope(namespace);
        let wanted: Vec<_> = wanted.into_iter().map(|(key, hold)| (scope.row(key), hold)).collect();
        let key = wanted.first().map(|(key, _)| key.clone()).unwrap_or_default();
        let name = move || format!("snapshot {key}: wait for another change of it, or of its parent");
        let held = step(name, self.0.locks.hold(wanted)).await;
        (scope, held)
    }

    /// Runs a change to its end, holding what it holds. Who waits for it can be told what it is.
    async fn run<R: Send + 'static>(
        &self,
        change: &'static str,
        held: Held,
        work: impl FnOnce(&Core) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let core = self.0.core.clone();
        let working = blocking(move || {
            let result = work(&core);
            drop(held);
            result
        });
        step(move || change.to_owned(), working).await
    }
}

async fn blocking<R: Send + 'static>(run: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
    let ended_early = |error| Err(Error::internal("snapshots: a blocking thread ended early").because(error));
    task::spawn_blocking(run).await.unwrap_or_else(ended_early)
}

/// One that is being committed is still the active one it was.
fn visible(row: &Row) -> bool {
    matches!(row.state, State::Ready | State::Committing(_))
}
