use std::collections::{BTreeMap, BTreeSet};

use wharf_error::{Error, Kind as ErrorKind, Result};

use crate::{
    book::{self, Book as _},
    commit::is_taken,
    core::Core,
    row::{Kind, Row, Rows, Scope, State},
};

type All = BTreeMap<(Scope, String), Row>;

impl Core {
    /// At start: undoes prepares that were cut off, repeats commits and removals, and drops layers whose bytes may not
    /// have reached the disk before the machine went down. What fails stays recorded, is logged, and stops nothing.
    pub(crate) fn reconcile(&self) -> Result<()> {
        self.doom_unsynced()?;
        let all = self.all()?;
        // Children first: a parent goes only when nothing stands on it.
        let mut unfinished: Vec<_> = all.iter().filter(|(_, row)| !row.is_ready()).collect();
        unfinished.sort_by_key(|((scope, key), _)| std::cmp::Reverse(depth(&all, scope, key)));
        for ((scope, key), row) in unfinished {
            match self.settle(scope, key, row) {
                Ok(()) => tracing::info!(snapshot = key, layer = row.id, was = %row.state, "settled"),
                Err(error) => {
                    tracing::error!(snapshot = key, layer = row.id, was = %row.state, %error, "cannot be settled");
                }
            }
        }
        for ((scope, key), row) in self.all()? {
            if row.kind == Kind::Committed && row.is_ready() && !row.synced {
                self.unflushed.add(scope.row(&key), row.id);
            }
        }
        Ok(())
    }

    /// Finishes or undoes what the row says was begun.
    pub(crate) fn settle(&self, scope: &Scope, key: &str, row: &Row) -> Result<()> {
        match &row.state {
            State::Ready => Ok(()),
            State::Preparing => {
                let there = self.store.read(|reader| reader.get::<Rows>(&scope.row(key)))?;
                match there.is_some_and(|there| there.id == row.id) {
                    // It was finished; only the intent was left.
                    true => self.forget_intent(scope, key),
                    false => self.finish_remove(scope, key, row),
                }
            }
            State::Removing => {
                let children = self.store.read(|reader| reader.children(scope, key))?;
                match children.len() {
                    0 => self.finish_remove(scope, key, row),
                    some => Err(Error::new(ErrorKind::FailedPrecondition, format!("{some} snapshots stand on it"))),
                }
            }
            State::Committing(name) if self.row(scope, name)?.as_ref().is_some_and(is_taken) => {
                // Somebody else has made the same layer meanwhile.
                tracing::warn!(snapshot = key, name, "committed already: the second one is removed");
                self.finish_remove(scope, key, row)
            }
            State::Committing(name) => self.finish_commit(scope, name, key, row),
        }
    }

    /// Marks layers of an earlier boot whose bytes were never flushed, and all that stands on them, to be removed.
    fn doom_unsynced(&self) -> Result<()> {
        let all = self.all()?;
        let lost = |row: &Row| row.kind == Kind::Committed && !row.synced && row.boot != self.store.boot();
        let mut doomed: BTreeSet<&(Scope, String)> =
            all.iter().filter(|(_, row)| lost(row)).map(|(at, _)| at).collect();
        loop {
            let on_doomed = |(at, row): &(&(Scope, String), &Row)| {
                let parent = row.parent.as_ref().map(|parent| (at.0.clone(), parent.clone()));
                !doomed.contains(at) && parent.is_some_and(|parent| doomed.contains(&parent))
            };
            let more: Vec<_> = all.iter().filter(on_doomed).map(|(at, _)| at).collect();
            if more.is_empty() {
                break;
            }
            doomed.extend(more);
        }
        if doomed.is_empty() {
            return Ok(());
        }
        for (scope, key) in &doomed {
            tracing::warn!(snapshot = key, namespace = scope.namespace, "was not flushed before the reboot: dropped");
        }
        let doomed: Vec<(Scope, String)> = doomed.into_iter().cloned().collect();
        self.store.write_durable(move |writer| {
            for (scope, key) in doomed {
                if let Some(row) = writer.get::<Rows>(&scope.row(&key))? {
                    book::put(writer, &scope, &key, &Row { state: State::Removing, ..row })?;
                }
            }
            Ok(())
        })
    }
}

/// How many stand below; a circle, which cannot be, ends.
pub(crate) fn depth(all: &All, scope: &Scope, key: &str) -> usize {
    let mut next = Some(key.to_owned());
    for depth in 0..all.len() {
        let row = next.and_then(|key| all.get(&(scope.clone(), key)));
        match row.and_then(|row| row.parent.clone()) {
            Some(parent) => next = Some(parent),
            None => return depth,
        }
    }
    all.len()
}
