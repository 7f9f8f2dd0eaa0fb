use std::collections::BTreeMap;

use wharf_error::{Error, Kind as ErrorKind, Result, ResultExt as _};

use crate::{
    book::{self, Book as _},
    core::Core,
    info::Mounts,
    labels,
    plan::Call,
    probe::Point,
    row::{Kind, Row, Scope, State, check_key, now},
};

/// The layers' numbers: one sequence for all plugins, so that a number names one layer in all logs.
const LAYERS: &str = "layers";

impl Core {
    /// Makes an active snapshot or a view and tells how to mount it.
    pub(crate) fn prepare(
        &self,
        scope: &Scope,
        key: &str,
        kind: Kind,
        parent: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Mounts> {
        let step = || format!("snapshot {key}: prepare");
        check_key(key)?;
        let wishes = labels::wishes(&labels).step(step)?;
        labels::check(self.backend.name(), &wishes, self.backend.features()).step(step)?;
        self.make_room(scope, key).step(step)?;
        self.probe.reached(Point::BeforeIntent);
        let row = self.intend_prepare(scope, key, kind, parent, labels).step(step)?;
        self.probe.reached(Point::AfterIntent);
        let made = self.facts(scope, key, &row).and_then(|facts| {
            let plan = self.backend.prepare(&facts)?;
            self.translate(Call::Prepare, &facts, &plan)
        });
        let mounts = match made {
            Ok(mounts) => mounts,
            Err(error) => {
                self.undo(scope, key, &row);
                return Err(error).step(step);
            }
        };
        self.probe.reached(Point::AfterCall);
        self.finish_prepare(scope, key, row.id).step(step)?;
        self.probe.reached(Point::AfterFinal);
        Ok(mounts)
    }

    /// Finishes what an earlier change of the same key left undone, so that the key is free.
    fn make_room(&self, scope: &Scope, key: &str) -> Result<()> {
        match self.row(scope, key)? {
            Some(row) if matches!(row.state, State::Preparing | State::Removing) => self.settle(scope, key, row),
            _ => Ok(()),
        }
    }

    fn intend_prepare(
        &self,
        scope: &Scope,
        key: &str,
        kind: Kind,
        parent: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Row> {
        let (scope, key, parent) = (scope.clone(), key.to_owned(), parent.map(str::to_owned));
        self.store.write_durable(move |writer| {
            if let Some(there) = writer.row(&scope, &key)? {
                let what = format!("there is a snapshot of that key, {}, {}", there.kind, there.state);
                return Err(Error::new(ErrorKind::AlreadyExists, what));
            }
            if let Some(parent) = &parent {
                book::parent(writer, &scope, parent)?;
            }
            let id = writer.reserve_ids(LAYERS, 1)?.start;
            let time = now();
            let row = Row {
                id,
                kind,
                parent,
                labels,
                state: State::Preparing,
                created: time,
                updated: time,
                usage: None,
                boot: String::new(),
                synced: false,
                broken: None,
            };
            book::put(writer, &scope, &key, &row)?;
            Ok(row)
        })
    }

    fn finish_prepare(&self, scope: &Scope, key: &str, id: u64) -> Result<()> {
        let (scope, key) = (scope.clone(), key.to_owned());
        self.store.write_durable(move |writer| match writer.row(&scope, &key)? {
            Some(row) if row.id == id => book::put(writer, &scope, &key, &Row { state: State::Ready, ..row }),
            _ => Err(Error::internal("the row changed while it was prepared")),
        })
    }

    /// After a failure. What cannot be undone now is undone by the next change of the key, or the next start.
    fn undo(&self, scope: &Scope, key: &str, row: &Row) {
        if let Err(error) = self.settle(scope, key, row.clone()) {
            tracing::warn!(snapshot = key, layer = row.id, %error, "undo of a failed prepare is left for later");
        }
    }
}
