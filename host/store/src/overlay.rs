use std::collections::{BTreeMap, BTreeSet};

/// Changes that are not in the file yet: per table and key the new bytes, or `None` for a deletion.
#[derive(Debug, Default)]
pub(crate) struct Overlay(BTreeMap<String, BTreeMap<String, Option<Vec<u8>>>>);

// === impl Overlay ===

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn set(&mut self, table: &str, key: &str, value: Option<Vec<u8>>) {
        match self.0.get_mut(table) {
            Some(rows) => rows.insert(key.to_owned(), value),
            None => self.0.entry(table.to_owned()).or_default().insert(key.to_owned(), value),
        };
    }

    /// `Some(None)`: deleted here. `None`: nothing is said here.
    pub(crate) fn get(&self, table: &str, key: &str) -> Option<Option<&[u8]>> {
        self.0.get(table)?.get(key).map(Option::as_deref)
    }

    /// Changes of keys that start with `prefix`, in order.
    pub(crate) fn range<'a>(
        &'a self,
        table: &str,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + 'a {
        let rows = self.0.get(table).into_iter().flat_map(move |rows| rows.range(prefix.to_owned()..));
        rows.take_while(move |(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.as_str(), value.as_deref()))
    }

    /// Puts `later` on top.
    pub(crate) fn absorb(&mut self, later: Self) {
        for (table, rows) in later.0 {
            self.0.entry(table).or_default().extend(rows);
        }
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, Option<Vec<u8>>>)> {
        self.0.iter().map(|(table, rows)| (table.as_str(), rows))
    }

    /// The changed keys of tables whose name starts with `prefix`.
    pub(crate) fn changed(&self, prefix: &str) -> BTreeMap<String, BTreeSet<String>> {
        let tables = self.0.iter().filter(|(table, _)| table.starts_with(prefix));
        tables.map(|(table, rows)| (table.clone(), rows.keys().cloned().collect())).collect()
    }
}
