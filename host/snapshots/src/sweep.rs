use std::collections::{BTreeMap, BTreeSet, HashSet};

use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    core::Core,
    row::{Kind, Row, Rows, Stray, Strays, now, stray_key, stray_keys},
};

/// What a sweep found and did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Layers on the disk that nobody knows, seen for the first time.
    pub set_aside: Vec<u64>,
    /// Those that an earlier sweep had set aside: removed.
    pub removed: Vec<u64>,
    /// Snapshots whose layer is not on the disk: marked, never deleted.
    pub broken: Vec<String>,
    /// Layers that could not be removed, and why.
    pub failed: Vec<(u64, Error)>,
}

/// Whether layers that were set aside before may be removed now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Removal<'a> {
    /// Only look.
    No,
    /// All but those that somebody still uses.
    Except(&'a HashSet<u64>),
}

impl Core {
    /// Compares disk and book. Nothing else may be under way.
    pub(crate) fn sweep(&self, removal: Removal<'_>) -> Result<Swept> {
        let plugin = self.backend.name().to_owned();
        let on_disk = self.backend.layers().step(|| "sweep".into())?;
        let on_disk: BTreeSet<u64> = on_disk.into_iter().collect();
        let rows = self.all()?;
        let known: HashSet<u64> = rows.values().map(|row| row.id).collect();
        let noted = self.store.read(|reader| reader.list::<Strays>(&stray_keys(&plugin)))?;
        let noted: BTreeMap<String, Stray> = noted.into_iter().collect();

        let mut swept = Swept::default();
        let mut notes = BTreeSet::new();
        for id in on_disk.iter().copied().filter(|id| !known.contains(id)) {
            let used = matches!(removal, Removal::Except(used) if used.contains(&id));
            let (before, may_go) = (noted.contains_key(&stray_key(&plugin, id)), matches!(removal, Removal::Except(_)));
            match (before, may_go) {
                _ if used => continue,
                (false, _) => {
                    tracing::warn!(plugin, layer = id, "a layer that nobody knows is set aside");
                    swept.set_aside.push(id);
                }
                (true, false) => {}
                (true, true) => match self.backend.remove(id) {
                    Ok(()) => {
                        tracing::info!(plugin, layer = id, "a layer that nobody knows is removed");
                        swept.removed.push(id);
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(plugin, layer = id, %error, "a layer that nobody knows cannot be removed");
                        swept.failed.push((id, error));
                    }
                },
            }
            notes.insert(stray_key(&plugin, id));
        }

        let mut marked = Vec::new();
        for ((scope, key), row) in rows {
            // A view has no bytes of its own that could be missing.
            let missing = row.is_ready() && row.kind != Kind::View && !on_disk.contains(&row.id);
            if missing {
                swept.broken.push(key.clone());
            }
            if missing != row.broken.is_some() && row.is_ready() {
                let broken =
                    missing.then(|| format!("its layer {} is not in {}", row.id, self.backend.root().display()));
                tracing::error!(snapshot = key, ?broken, "is marked");
                marked.push((scope.row(&key), row.id, broken));
            }
        }
        self.store.write_durable(move |writer| {
            for key in noted.keys().filter(|key| !notes.contains(*key)) {
                writer.delete::<Strays>(key)?;
            }
            for key in notes.iter().filter(|key| !noted.contains_key(*key)) {
                writer.put::<Strays>(key, &Stray { seen: now() })?;
            }
            for (key, id, broken) in marked {
                match writer.get::<Rows>(&key)? {
                    Some(row) if row.id == id => writer.put::<Rows>(&key, &Row { broken, ..row })?,
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(swept)
    }
}
