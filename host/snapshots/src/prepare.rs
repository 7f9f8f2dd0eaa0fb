use std::collections::BTreeMap;

use wharf_error::{Error, Kind as ErrorKind, Result, ResultExt as _};

use crate::{
    book,
    core::Core,
    info::Mounts,
    labels,
    plan::Call,
    probe::Point,
    row::{Kind, Row, Scope, State, check_key, now},
};

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
        if let Some(parent) = parent {
            self.store.read(|reader| book::parent(reader, scope, parent)).step(step)?;
        }
        let time = now();
        let row = Row {
            id: self.next_id().step(step)?,
            kind,
            parent: parent.map(str::to_owned),
            labels,
            state: State::Preparing,
            created: time,
            updated: time,
            usage: None,
            boot: String::new(),
            synced: false,
            broken: None,
        };
        self.probe.reached(Point::BeforeIntent);
        self.intend(scope, key, &row).step(step)?;
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
        self.finish_prepare(scope, key, row).step(step)?;
        Ok(mounts)
    }

    /// Finishes what an earlier change of the same key left undone; then the key must be free.
    fn make_room(&self, scope: &Scope, key: &str) -> Result<()> {
        if let Some(row) = self.row(scope, key)?.filter(|row| matches!(row.state, State::Preparing | State::Removing)) {
            self.settle(scope, key, &row)?;
        }
        match self.row(scope, key)? {
            None => Ok(()),
            Some(there) => {
                let what = format!("there is a snapshot of that key, {}, {}", there.kind, there.state);
                Err(Error::new(ErrorKind::AlreadyExists, what))
            }
        }
    }

    fn finish_prepare(&self, scope: &Scope, key: &str, intent: Row) -> Result<()> {
        let row = Row { state: State::Ready, ..intent };
        let (owned, name) = (scope.clone(), key.to_owned());
        self.store.write_durable(move |writer| book::put(writer, &owned, &name, &row))?;
        self.probe.reached(Point::AfterFinal);
        self.forget_intent(scope, key)
    }

    /// After a failure. What cannot be undone now is undone by the next change of the key, or the next start.
    fn undo(&self, scope: &Scope, key: &str, row: &Row) {
        if let Err(error) = self.settle(scope, key, row) {
            tracing::warn!(snapshot = key, layer = row.id, %error, "undo of a failed prepare is left for later");
        }
    }
}
