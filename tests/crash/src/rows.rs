use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use redb::{ReadOnlyDatabase, ReadableDatabase as _, ReadableTableMetadata as _, TableHandle as _};

/// How many rows each table of both databases has, tables without rows left out. The daemon must have stopped.
///
/// # Errors
///
/// When a database cannot be read.
pub fn rows(root: &Path, state: &Path) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for path in [root.join("meta.redb"), state.join("state.redb")] {
        let what = || format!("read the rows of {}", path.display());
        let database = ReadOnlyDatabase::open(&path).with_context(what)?;
        let read = database.begin_read().with_context(what)?;
        for table in read.list_tables().with_context(what)? {
            let name = table.name().to_owned();
            let rows = read.open_untyped_table(table).with_context(what)?.len().with_context(what)?;
            if rows > 0 {
                all.insert(format!("{}: {name}", path.display()), rows);
            }
        }
    }
    Ok(all)
}
