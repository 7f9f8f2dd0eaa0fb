use std::sync::Arc;

use redb::{ReadTransaction, TableDefinition, TableError, TableHandle as _};
use wharf_error::{Error, Result};

use crate::{
    database::{Database, Handle},
    error::storage,
};

/// One file as it was at one moment, in bytes.
pub(crate) struct View {
    // Before the handle: a transaction ends before its database closes.
    txn: ReadTransaction,
    handle: Arc<Handle>,
    database: Arc<Database>,
}

// === impl View ===

impl View {
    pub(crate) fn new(txn: ReadTransaction, handle: Arc<Handle>, database: Arc<Database>) -> Self {
        Self { txn, handle, database }
    }

    pub(crate) fn get(&self, table: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let read = || {
            let Some(table) = self.table(table)? else { return Ok(None) };
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        read().map_err(|error| self.failed(error))
    }

    /// Rows whose key starts with `prefix`, in the order of their keys.
    pub(crate) fn range(&self, table: &str, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let read = || {
            let Some(table) = self.table(table)? else { return Ok(Vec::new()) };
            let mut rows = Vec::new();
            for row in table.range(prefix..)? {
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                rows.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(rows)
        };
        read().map_err(|error| self.failed(error))
    }

    /// The names of tables that start with `prefix`.
    pub(crate) fn tables(&self, prefix: &str) -> Result<Vec<String>> {
        let tables = self.txn.list_tables().map_err(|error| self.failed(error.into()))?;
        Ok(tables.map(|table| table.name().to_owned()).filter(|name| name.starts_with(prefix)).collect())
    }

    fn table(&self, name: &str) -> Result<Option<redb::ReadOnlyTable<&'static str, &'static [u8]>>, redb::Error> {
        match self.txn.open_table(TableDefinition::<&'static str, &'static [u8]>::new(name)) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn failed(&self, error: redb::Error) -> Error {
        self.database.abandon(&self.handle);
        storage(self.database.path(), "read", error)
    }
}
