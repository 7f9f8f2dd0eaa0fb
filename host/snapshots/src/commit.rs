use wharf_error::{Error, Kind as ErrorKind, Result, ResultExt as _};
use wharf_plugins::Usage;
use wharf_store::Writer;

use crate::{
    book::{self, Book as _},
    core::Core,
    labels,
    probe::Point,
    row::{Kind, Row, Scope, State, check_key, now},
};

/// Under what parent an active snapshot is committed.
#[derive(Clone, Debug)]
pub(crate) enum Onto {
    /// The one it was prepared on.
    Same,
    /// Another one, or none.
    Other(Option<String>),
}

impl Core {
    /// Makes the active snapshot `key` a committed one called `name`.
    pub(crate) fn commit(&self, scope: &Scope, name: &str, key: &str, onto: Onto) -> Result<()> {
        let step = || format!("snapshot {key}: commit as {name}");
        check_key(name)?;
        if matches!(onto, Onto::Other(_)) && !self.backend.features().unordered() {
            let what = format!("plugin {}: a layer cannot change its parent at commit", self.backend.name());
            return Err(Error::new(ErrorKind::Unsupported, what)).step(step);
        }
        // A writer does not see intents, so they are looked for here; the locks keep it so.
        if let Some(intent) = self.row(scope, key)?.filter(|row| row.state == State::Removing) {
            return Err(Error::new(ErrorKind::FailedPrecondition, format!("it is {}", intent.state))).step(step);
        }
        if let Some(there) = self.row(scope, name)?.filter(is_taken) {
            return Err(existing(name, &there)).step(step);
        }
        self.probe.reached(Point::BeforeIntent);
        let row = self.intend_commit(scope, name, key, onto).step(step)?;
        self.probe.reached(Point::AfterIntent);
        self.finish_commit(scope, name, key, &row).step(step)
    }

    /// The plugin's part and the final row; also of a commit that was cut off.
    pub(crate) fn finish_commit(&self, scope: &Scope, name: &str, key: &str, row: &Row) -> Result<()> {
        let facts = self.facts(scope, key, row)?;
        let Usage { bytes, inodes } = self.backend.commit(&facts)?;
        self.probe.reached(Point::AfterCall);
        let committed = Row {
            kind: Kind::Committed,
            labels: labels::inherited(&row.labels),
            state: State::Ready,
            updated: now(),
            usage: Some((bytes, inodes)),
            boot: self.store.boot().to_owned(),
            synced: false,
            ..row.clone()
        };
        let (id, owned) = (row.id, (scope.clone(), name.to_owned(), key.to_owned()));
        self.store.write_durable(move |writer| {
            let (scope, name, key) = owned;
            refuse_existing(writer, &scope, &name)?;
            book::delete(writer, &scope, &key)?;
            book::delete(writer, &scope, &name)?;
            book::put(writer, &scope, &name, &committed)
        })?;
        self.probe.reached(Point::AfterFinal);
        self.unflushed.add(scope.row(name), id);
        Ok(())
    }

    fn intend_commit(&self, scope: &Scope, name: &str, key: &str, onto: Onto) -> Result<Row> {
        let (scope, name, key) = (scope.clone(), name.to_owned(), key.to_owned());
        self.store.write_durable(move |writer| {
            let mut row = writer.row(&scope, &key)?.ok_or_else(|| Error::not_found("snapshot", &key))?;
            // One that failed before is tried again.
            if !matches!(row.state, State::Ready | State::Committing(_)) {
                return Err(Error::new(ErrorKind::FailedPrecondition, format!("it is {}", row.state)));
            }
            if row.kind != Kind::Active {
                return Err(Error::new(ErrorKind::FailedPrecondition, format!("it is {}, not active", row.kind)));
            }
            refuse_existing(writer, &scope, &name)?;
            if let Onto::Other(parent) = onto {
                if let Some(parent) = &parent {
                    book::parent(writer, &scope, parent)?;
                }
                book::delete(writer, &scope, &key)?;
                row.parent = parent;
            }
            row.state = State::Committing(name);
            book::put(writer, &scope, &key, &row)?;
            Ok(row)
        })
    }
}

/// Whether a name cannot be committed to. One whose layer is missing can: what is committed takes its place, and what
/// stands on the name is whole again.
pub(crate) fn is_taken(there: &Row) -> bool {
    there.broken.is_none() || there.kind != Kind::Committed || !there.is_ready()
}

fn refuse_existing(writer: &Writer<'_>, scope: &Scope, name: &str) -> Result<()> {
    match writer.row(scope, name)?.filter(is_taken) {
        None => Ok(()),
        Some(there) => Err(existing(name, &there)),
    }
}

fn existing(name: &str, there: &Row) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("there is a snapshot {name}, {}, {}", there.kind, there.state))
}
