//! Rows of one scope, read and written in transactions.
//!
//! A reader sees an intent in place of the row that it is about. A writer of durable rows cannot: whoever writes holds
//! the snapshot's lock and has looked before.

use std::collections::{BTreeMap, BTreeSet};

use wharf_error::{Error, Kind as ErrorKind, Result};
use wharf_store::{Reader, Writer};

use crate::row::{Children, Intents, Kind, Row, Rows, Scope};

/// What can read rows: a reader, or a writer that sees its own changes.
pub(crate) trait Book {
    fn row(&self, scope: &Scope, key: &str) -> Result<Option<Row>>;
    fn children(&self, scope: &Scope, key: &str) -> Result<Vec<String>>;
}

impl Book for Reader<'_> {
    fn row(&self, scope: &Scope, key: &str) -> Result<Option<Row>> {
        let at = scope.row(key);
        match self.get::<Intents>(&at)? {
            Some(intent) => Ok(Some(intent)),
            None => self.get::<Rows>(&at),
        }
    }

    fn children(&self, scope: &Scope, key: &str) -> Result<Vec<String>> {
        Ok(names(self.list::<Children>(&scope.children(key))?))
    }
}

impl Book for Writer<'_> {
    fn row(&self, scope: &Scope, key: &str) -> Result<Option<Row>> {
        self.get::<Rows>(&scope.row(key))
    }

    fn children(&self, scope: &Scope, key: &str) -> Result<Vec<String>> {
        Ok(names(self.list::<Children>(&scope.children(key))?))
    }
}

/// The row of a snapshot that must be there and finished.
pub(crate) fn ready(book: &impl Book, scope: &Scope, key: &str) -> Result<Row> {
    let row = book.row(scope, key)?.ok_or_else(|| Error::not_found("snapshot", key))?;
    match row.is_ready() {
        true => Ok(row),
        false => Err(Error::new(ErrorKind::FailedPrecondition, format!("snapshot {key}: is {}", row.state))),
    }
}

/// The row of a snapshot that others can stand on.
pub(crate) fn parent(book: &impl Book, scope: &Scope, key: &str) -> Result<Row> {
    let row = book.row(scope, key)?.ok_or_else(|| Error::not_found("parent snapshot", key))?;
    if let Some(broken) = &row.broken {
        return Err(Error::new(ErrorKind::DataLoss, format!("parent snapshot {key}: {broken}"))
            .hint("remove the image and pull it again"));
    }
    match (row.kind, row.is_ready()) {
        (Kind::Committed, true) => Ok(row),
        (Kind::Committed, false) => {
            Err(Error::new(ErrorKind::FailedPrecondition, format!("parent snapshot {key}: is {}", row.state)))
        }
        (kind, _) => Err(Error::invalid(format!("parent snapshot {key}: is {kind}, not committed"))),
    }
}

/// The ids of all that `row` stands on, nearest first.
pub(crate) fn parents(book: &impl Book, scope: &Scope, row: &Row) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = row.parent.clone();
    while let Some(key) = next {
        let row = book.row(scope, &key)?;
        let (Some(row), true) = (row, seen.insert(key.clone())) else {
            return Err(Error::new(
                ErrorKind::DataLoss,
                format!("snapshot {key}: is named as a parent, but not there"),
            ));
        };
        ids.push(row.id);
        next = row.parent;
    }
    Ok(ids)
}

/// Writes a row, and that it stands on its parent.
pub(crate) fn put(writer: &mut Writer<'_>, scope: &Scope, key: &str, row: &Row) -> Result<()> {
    writer.put::<Rows>(&scope.row(key), row)?;
    match &row.parent {
        Some(parent) => writer.put::<Children>(&scope.child(parent, key), &()),
        None => Ok(()),
    }
}

/// Deletes a row, and that it stands on its parent.
pub(crate) fn delete(writer: &mut Writer<'_>, scope: &Scope, key: &str) -> Result<()> {
    if let Some(parent) = writer.row(scope, key)?.and_then(|row| row.parent) {
        writer.delete::<Children>(&scope.child(&parent, key))?;
    }
    writer.delete::<Rows>(&scope.row(key)).map(|_| ())
}

/// All rows whose key starts so, intents in their place.
pub(crate) fn rows(reader: &Reader<'_>, prefix: &str) -> Result<BTreeMap<String, Row>> {
    // First: a snapshot that is finished meanwhile is seen once more as unfinished, and never not at all.
    let intents = reader.list::<Intents>(prefix)?;
    let mut rows: BTreeMap<String, Row> = reader.list::<Rows>(prefix)?.into_iter().collect();
    rows.extend(intents);
    Ok(rows)
}

fn names(children: Vec<(String, ())>) -> Vec<String> {
    let name = |(key, ()): (String, ())| key.rsplit_once('\u{1f}').map(|(_, child)| child.to_owned());
    children.into_iter().filter_map(name).collect()
}
