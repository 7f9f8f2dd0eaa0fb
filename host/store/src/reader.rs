use std::{cell::OnceCell, sync::Arc};

use serde::de::DeserializeOwned;
use wharf_error::{Error, Kind, Result};

use crate::{
    database::Database,
    table::{Lifetime, PREVIOUS, Table, stored_name},
    view::View,
};

/// Reads both files. Each is seen as it was when the first row was read from it: writers neither wait nor disturb.
pub struct Reader<'s> {
    meta: File<'s>,
    state: File<'s>,
}

struct File<'s> {
    database: &'s Arc<Database>,
    view: OnceCell<View>,
}

// === impl Reader ===

impl<'s> Reader<'s> {
    pub(crate) fn new(meta: &'s Arc<Database>, state: &'s Arc<Database>) -> Self {
        let file = |database| File { database, view: OnceCell::new() };
        Self { meta: file(meta), state: file(state) }
    }

    /// The row at `key`, if there is one.
    ///
    /// # Errors
    /// `DataLoss` for a row that is not what its table says.
    pub fn get<T: Table>(&self, key: &str) -> Result<Option<T::Row>> {
        let bytes = self.file::<T>().view()?.get(&stored_name::<T>(), key)?;
        bytes.map(|bytes| decode(T::NAME, key, &bytes)).transpose()
    }

    /// All rows whose key starts with `prefix` ("": all), by key. See [`prefix`](crate::prefix).
    ///
    /// # Errors
    /// `DataLoss` for a row that is not what its table says.
    pub fn list<T: Table>(&self, prefix: &str) -> Result<Vec<(String, T::Row)>> {
        self.rows(T::NAME, self.file::<T>().view()?, &stored_name::<T>(), prefix)
    }

    /// All rows that an earlier boot left.
    pub(crate) fn previous<T: Table>(&self) -> Result<Vec<(String, T::Row)>> {
        self.rows(T::NAME, self.meta.view()?, &format!("{PREVIOUS}{}", T::NAME), "")
    }

    fn rows<R: DeserializeOwned>(
        &self,
        name: &str,
        view: &View,
        table: &str,
        prefix: &str,
    ) -> Result<Vec<(String, R)>> {
        let decoded = view.range(table, prefix)?.into_iter().map(|(key, bytes)| {
            let row = decode(name, &key, &bytes)?;
            Ok((key, row))
        });
        decoded.collect()
    }

    fn file<T: Table>(&self) -> &File<'s> {
        match T::LIFETIME {
            Lifetime::Durable => &self.meta,
            Lifetime::Crash => &self.state,
        }
    }
}

// === impl File ===

impl File<'_> {
    fn view(&self) -> Result<&View> {
        if self.view.get().is_none() {
            // Nobody else sets it: the cell is not shared between threads.
            let _ = self.view.set(self.database.view()?);
        }
        self.view.get().ok_or_else(|| Error::internal("a view of the store vanished"))
    }
}

/// A row from its bytes.
pub(crate) fn decode<R: DeserializeOwned>(table: &str, key: &str, bytes: &[u8]) -> Result<R> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::new(Kind::DataLoss, format!("store: table {table}: row {key}: read")).because(error))
}
