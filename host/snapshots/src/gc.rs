use std::collections::{BTreeMap, HashSet};

use wharf_error::{Error, Result};

use crate::{
    core::Core,
    reconcile::depth,
    row::{Kind, Row, Scope, State},
};

/// What a collection of garbage did.
#[derive(Debug, Default)]
pub struct Collected {
    /// Removed snapshots, children before parents.
    pub removed: Vec<String>,
    /// Those that nothing needs but that could not be removed, and why.
    pub failed: Vec<(String, Error)>,
}

impl Core {
    /// Committed snapshots that nothing needs, children before parents: not in `keep`, and no parent of what is kept,
    /// active or a view. And those of any kind whose removal has failed before.
    pub(crate) fn garbage(&self, scope: &Scope, keep: &HashSet<String>) -> Result<Vec<String>> {
        let mut all = self.all()?;
        all.retain(|(of, _), _| of == scope);
        let mut needed = HashSet::new();
        for ((_, key), row) in &all {
            let in_use = row.kind != Kind::Committed && row.state != State::Removing;
            if in_use || keep.contains(key) {
                need(&all, scope, key, &mut needed);
            }
        }
        let mut garbage: Vec<String> =
            all.keys().map(|(_, key)| key.clone()).filter(|key| !needed.contains(key)).collect();
        garbage.sort_by_key(|key| std::cmp::Reverse(depth(&all, scope, key)));
        Ok(garbage)
    }
}

fn need(all: &BTreeMap<(Scope, String), Row>, scope: &Scope, key: &str, needed: &mut HashSet<String>) {
    let mut next = Some(key.to_owned());
    while let Some(key) = next {
        next = all.get(&(scope.clone(), key.clone())).and_then(|row| row.parent.clone());
        if !needed.insert(key) {
            return;
        }
    }
}
