use std::{collections::BTreeMap, sync::Arc};

use wharf_error::{Result, ResultExt as _};
use wharf_plugins::LayerFacts;
use wharf_store::Store;

use crate::{
    backend::Backend,
    book::{self, Book},
    flush::Unflushed,
    labels,
    probe::Probe,
    row::{Row, Rows, Scope},
};

/// What every change needs. Its methods block and hold no locks of their own: [`Snapshots`](crate::Snapshots) does.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) unflushed: Arc<Unflushed>,
    pub(crate) probe: Arc<dyn Probe>,
}

// === impl Core ===

impl Core {
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
        let rows = self.store.read(|reader| reader.list::<Rows>(""))?;
        let own = rows.into_iter().filter_map(|(key, row)| {
            let (scope, snapshot) = Scope::of(&key)?;
            (scope.plugin == self.backend.name()).then(|| ((scope, snapshot.to_owned()), row))
        });
        Ok(own.collect())
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
