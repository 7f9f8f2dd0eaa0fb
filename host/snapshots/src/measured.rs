use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::Semaphore;
use wharf_plugins::Usage;

use crate::Snapshots;

/// How long a measurement is good for.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How old one may be and still be told while the next is made: nobody has asked for long.
const STALE: Duration = Duration::from_secs(30);
/// How long one is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many are measured at once: each takes a thread, and one of the plugin's turns, for as long as its files take.
const AT_ONCE: usize = 2;

/// What a snapshot took at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// What it took, parents not counted.
    pub usage: Usage,
    /// When that was, nanoseconds since 1970.
    pub at: i64,
    taken: Instant,
}

/// The last measurement of each snapshot that somebody asks after.
pub(crate) struct Measurements {
    slots: Mutex<HashMap<(String, String), Arc<Slot>>>,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct Slot {
    last: Mutex<Option<Measured>>,
    /// When the last measurement failed.
    failed: Mutex<Option<Instant>>,
    /// Held while it is measured.
    turn: Arc<tokio::sync::Mutex<()>>,
}

// === impl Snapshots ===

impl Snapshots {
    /// What a snapshot took when it was measured last, for who asks again and again: to measure an active one is to look
    /// at all of its files.
    ///
    /// A measurement is good for ten seconds. After that the next one is made in the background, one at a time of a
    /// snapshot however many ask; an answer takes a second at most and may be half a minute old, or older where
    /// measuring takes longer than that. None: it has not been measured yet, or cannot be.
    pub async fn usage_lately(&self, namespace: &str, key: &str) -> Option<Measured> {
        let slot = self.measurements().slot(namespace, key);
        let last = slot.last();
        let age = last.map(|last| last.taken.elapsed());
        if age.is_some_and(|age| age < GOOD_FOR) || slot.has_failed_lately() {
            return last;
        }
        if let Ok(turn) = slot.turn.clone().try_lock_owned() {
            let (snapshots, slot) = (self.clone(), slot.clone());
            let (namespace, key) = (namespace.to_owned(), key.to_owned());
            tokio::spawn(async move {
                let _turn = turn;
                let turns = snapshots.measurements().turns.clone();
                let Ok(_one_of_few) = turns.acquire_owned().await else { return };
                match snapshots.usage(&namespace, &key).await {
                    Ok(usage) => slot.set(usage),
                    Err(error) => {
                        tracing::debug!(snapshot = key, %error, "measure a snapshot");
                        slot.set_failed();
                        if error.is_not_found() {
                            snapshots.measurements().forget(&namespace, &key);
                        }
                    }
                }
            });
        }
        if age.is_some_and(|age| age < STALE) {
            return last;
        }
        // It may take as long as it likes: then the old one has to do.
        let _ = tokio::time::timeout(PATIENCE, slot.turn.lock()).await;
        slot.last()
    }
}

// === impl Measurements ===

impl Default for Measurements {
    fn default() -> Self {
        Self { slots: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Measurements {
    /// The snapshot is gone, or another has taken its name.
    pub(crate) fn forget(&self, namespace: &str, key: &str) {
        self.lock().remove(&(namespace.to_owned(), key.to_owned()));
    }

    fn slot(&self, namespace: &str, key: &str) -> Arc<Slot> {
        self.lock().entry((namespace.to_owned(), key.to_owned())).or_default().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Slot ===

impl Slot {
    fn last(&self) -> Option<Measured> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_failed_lately(&self) -> bool {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at.elapsed() < GOOD_FOR)
    }

    fn set_failed(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn set(&self, usage: Usage) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Measured { usage, at, taken: Instant::now() });
    }
}
