use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use wharf_error::{Error, Result, ResultExt as _};
use wharf_plugins::LayerFacts;
use wharf_store::Store;

use crate::{
    backend::Backend,
    book::{self, Book},
    flush::Unflushed,
    labels,
    probe::Probe,
    row::{Intents, Row, Scope},
};

/// What every change needs. Its methods block and hold no locks of their own: [`Snapshots`](crate::Snapshots) does.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) unflushed: Arc<Unflushed>,
    pub(crate) probe: Arc<dyn Probe>,
    ids: Mutex<Range<u64>>,
}

/// The layers' numbers: one sequence for all plugins, so that a number names one layer in all logs.
const LAYERS: &str = "layers";
/// A flush for so many layers.
const BLOCK: u64 = 64;

// === impl Core ===

impl Core {
    pub(crate) fn new(store: Store, backend: Arc<dyn Backend>, probe: Arc<dyn Probe>) -> Self {
        Self { store, backend, unflushed: Arc::default(), probe, ids: Mutex::new(0..0) }
    }

    pub(crate) fn scope(&self, namespace: &str) -> Scope {
        Scope { namespace: namespace.to_owned(), plugin: self.backend.name().to_owned() }
    }

    /// The row of a snapshot that is there and finished.
    pub(crate) fn ready(&self, scope: &Scope, key: &str) -> Result<Row> {
        self.store.read(|reader| book::ready(reader, scope, key))
    }

    pub(crate) fn row(&self, scope: &Scope, key: &str) -> Result<Option<Row>> {
        self.store.read(|reader| reader.row(scope, key))
    }

    /// All rows of this plugin, whatever their namespace and state.
    pub(crate) fn all(&self) -> Result<BTreeMap<(Scope, String), Row>> {
        let rows = self.store.read(|reader| book::rows(reader, ""))?;
        let own = rows.into_iter().filter_map(|(key, row)| {
            let (scope, snapshot) = Scope::of(&key)?;
            (scope.plugin == self.backend.name()).then(|| ((scope, snapshot.to_owned()), row))
        });
        Ok(own.collect())
    }

    /// A number that no layer ever had. They are reserved in durable blocks: after a power cut the rest of a block is
    /// skipped, so that what may be left on the disk is never taken for something new.
    pub(crate) fn next_id(&self) -> Result<u64> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.is_empty() {
            *ids = self.store.write_durable(|writer| writer.reserve_ids(LAYERS, BLOCK))?;
        }
        ids.next().ok_or_else(|| Error::internal("snapshots: an empty block of numbers"))
    }

    /// Notes what is being done to an active snapshot or a view.
    pub(crate) fn intend(&self, scope: &Scope, key: &str, intent: &Row) -> Result<()> {
        self.store.write_crash(|writer| writer.put::<Intents>(&scope.row(key), intent))
    }

    /// Forgets it: done or undone.
    pub(crate) fn forget_intent(&self, scope: &Scope, key: &str) -> Result<()> {
        self.store.write_crash(|writer| writer.delete::<Intents>(&scope.row(key)).map(drop))
    }

    /// What the plugin is told about a layer.
    pub(crate) fn facts(&self, scope: &Scope, key: &str, row: &Row) -> Result<LayerFacts> {
        let parents = self.store.read(|reader| book::parents(reader, scope, row));
        let parents = parents.step(|| format!("snapshot {key}"))?;
        let wishes = labels::wishes(&row.labels)?;
        Ok(LayerFacts {
            id: row.id,
            kind: row.kind.into(),
            parents,
            labels: labels::told(&row.labels),
            quota: wishes.quota,
            uid_map: wishes.uid_map,
            gid_map: wishes.gid_map,
        })
    }
}
