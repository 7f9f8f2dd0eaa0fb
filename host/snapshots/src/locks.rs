use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// One change at a time of a snapshot, and none of a parent while a child is made; a sweep runs alone.
#[derive(Default)]
pub(crate) struct Locks {
    gate: Arc<RwLock<()>>,
    keys: Mutex<HashMap<String, Weak<RwLock<()>>>>,
}

/// How a snapshot is held.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Hold {
    /// It must stay as it is.
    Shared,
    /// It is being changed.
    Alone,
}

/// Held until dropped; it moves into the work, so that a caller who goes away does not free what is being worked on.
pub(crate) struct Held {
    _keys: Vec<Guard>,
    _gate: Gate,
}

enum Guard {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

enum Gate {
    Beside { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

/// From so many on, locks that nobody holds are forgotten.
const MANY: usize = 64;

// === impl Locks ===

impl Locks {
    /// Waits for these snapshots. All are taken in the order of their keys, so that no two wait for each other.
    pub(crate) async fn hold(&self, wanted: impl IntoIterator<Item = (String, Hold)>) -> Held {
        let mut all = BTreeMap::new();
        for (key, hold) in wanted {
            let strongest = all.entry(key).or_insert(hold);
            *strongest = hold.max(*strongest);
        }
        let gate = Gate::Beside { _guard: self.gate.clone().read_owned().await };
        let mut keys = Vec::new();
        for (key, hold) in all {
            let lock = self.lock_of(key);
            keys.push(match hold {
                Hold::Shared => Guard::Shared { _guard: lock.read_owned().await },
                Hold::Alone => Guard::Alone { _guard: lock.write_owned().await },
            });
        }
        Held { _keys: keys, _gate: gate }
    }

    /// Waits until nothing else is under way, and keeps it so.
    pub(crate) async fn hold_all(&self) -> Held {
        Held { _keys: Vec::new(), _gate: Gate::Alone { _guard: self.gate.clone().write_owned().await } }
    }

    fn lock_of(&self, key: String) -> Arc<RwLock<()>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MANY {
            keys.retain(|_, lock| lock.strong_count() > 0);
        }
        if let Some(lock) = keys.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(RwLock::new(()));
        keys.insert(key, Arc::downgrade(&lock));
        lock
    }
}
