use std::{collections::BTreeMap, ops::Range};

use serde::Serialize;
use wharf_error::{Error, Kind, Result};

use crate::{
    overlay::Overlay,
    reader::decode,
    setup::IDS,
    table::{Lifetime, Table, stored_name},
    view::View,
};

/// Reads and changes the rows of one file. It sees its own changes and those of the writers before it; others
/// see them when they are committed, all at once. Nothing is kept when the closure that uses it fails.
pub struct Writer<'t> {
    lifetime: Lifetime,
    file: &'t View,
    before: &'t Overlay,
    changes: Overlay,
}

// === impl Writer ===

impl<'t> Writer<'t> {
    pub(crate) fn new(lifetime: Lifetime, file: &'t View, before: &'t Overlay) -> Self {
        Self { lifetime, file, before, changes: Overlay::default() }
    }

    pub(crate) fn into_changes(self) -> Overlay {
        self.changes
    }

    /// The row at `key`, if there is one.
    ///
    /// # Errors
    /// `DataLoss` for a row that is not what its table says; `Internal` for a table of the other file.
    pub fn get<T: Table>(&self, key: &str) -> Result<Option<T::Row>> {
        self.check::<T>()?;
        let bytes = self.bytes(&stored_name::<T>(), key)?;
        bytes.map(|bytes| decode(T::NAME, key, &bytes)).transpose()
    }

    /// All rows whose key starts with `prefix` ("": all), by key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn list<T: Table>(&self, prefix: &str) -> Result<Vec<(String, T::Row)>> {
        self.check::<T>()?;
        let table = stored_name::<T>();
        let mut rows: BTreeMap<String, Vec<u8>> = self.file.range(&table, prefix)?.into_iter().collect();
        for overlay in [self.before, &self.changes] {
            for (key, value) in overlay.range(&table, prefix) {
                match value {
                    Some(value) => rows.insert(key.to_owned(), value.to_vec()),
                    None => rows.remove(key),
                };
            }
        }
        let decoded = rows.into_iter().map(|(key, bytes)| {
            let row = decode(T::NAME, &key, &bytes)?;
            Ok((key, row))
        });
        decoded.collect()
    }

    /// Writes the row at `key`, in place of the one that was there.
    ///
    /// # Errors
    /// `Internal` for a table of the other file, or a row that JSON cannot say.
    pub fn put<T: Table>(&mut self, key: &str, row: &T::Row) -> Result<()> {
        self.check::<T>()?;
        let bytes = encode(T::NAME, key, row)?;
        self.changes.set(&stored_name::<T>(), key, Some(bytes));
        Ok(())
    }

    /// Writes a row where there is none.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one.
    pub fn insert<T: Table>(&mut self, key: &str, row: &T::Row) -> Result<()> {
        self.check::<T>()?;
        if self.bytes(&stored_name::<T>(), key)?.is_some() {
            return Err(Error::new(Kind::AlreadyExists, format!("store: table {}: row {key} exists", T::NAME)));
        }
        self.put::<T>(key, row)
    }

    /// Deletes the row at `key`; tells whether there was one.
    ///
    /// # Errors
    /// `Internal` for a table of the other file.
    pub fn delete<T: Table>(&mut self, key: &str) -> Result<bool> {
        self.check::<T>()?;
        let table = stored_name::<T>();
        let there = self.bytes(&table, key)?.is_some();
        if there {
            self.changes.set(&table, key, None);
        }
        Ok(there)
    }

    /// Reserves `count` numbers of the sequence `name`, the first ever being 1. Once this write is answered no
    /// later one gets them, also not after a power cut: use them only then. Numbers may be skipped.
    ///
    /// # Errors
    /// `Internal` in a crash write: a reservation must outlive a power cut. `Exhausted` after 2^64.
    pub fn reserve_ids(&mut self, name: &str, count: u64) -> Result<Range<u64>> {
        if self.lifetime != Lifetime::Durable {
            return Err(Error::internal(format!("store: ids {name}: reserved in a crash write")));
        }
        let next = match self.bytes(IDS, name)? {
            Some(bytes) => decode(IDS, name, &bytes)?,
            None => 1_u64,
        };
        let end = next.checked_add(count);
        let end = end.ok_or_else(|| Error::new(Kind::Exhausted, format!("store: ids {name}: none left")))?;
        let bytes = encode(IDS, name, &end)?;
        self.changes.set(IDS, name, Some(bytes));
        Ok(next..end)
    }

    /// Sets bytes in a table of any name: for the store's own tables.
    pub(crate) fn set_bytes(&mut self, table: &str, key: &str, value: Option<Vec<u8>>) {
        self.changes.set(table, key, value);
    }

    fn bytes(&self, table: &str, key: &str) -> Result<Option<Vec<u8>>> {
        match self.changes.get(table, key).or_else(|| self.before.get(table, key)) {
            Some(changed) => Ok(changed.map(<[u8]>::to_vec)),
            None => self.file.get(table, key),
        }
    }

    fn check<T: Table>(&self) -> Result<()> {
        if T::LIFETIME == self.lifetime {
            return Ok(());
        }
        let (is, needs) = (self.lifetime, T::LIFETIME);
        Err(Error::internal(format!("store: table {} is {needs:?}, this write is {is:?}", T::NAME)))
    }
}

pub(crate) fn encode<R: Serialize>(table: &str, key: &str, row: &R) -> Result<Vec<u8>> {
    serde_json::to_vec(row)
        .map_err(|error| Error::internal(format!("store: table {table}: row {key}: write")).because(error))
}
