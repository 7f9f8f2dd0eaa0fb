use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;

type Turn = tokio::sync::Mutex<()>;
/// By namespace and chain ID.
type Turns = HashMap<(String, String), Weak<Turn>>;

/// One at a time for each layer of a namespace: who comes later waits, and finds the work done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flights {
    turns: Arc<Mutex<Turns>>,
}

/// The right to make one layer.
#[derive(Debug)]
pub(crate) struct Flight {
    _guard: OwnedMutexGuard<()>,
}

// === impl Flights ===

impl Flights {
    /// Waits for the turn. Two pulls of chains with a common beginning cannot block each other for ever: both take
    /// turns only for layers that both have, and commit them from the bottom up.
    pub async fn take(&self, namespace: &str, chain_id: &str) -> Flight {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let entry = turns.entry((namespace.to_owned(), chain_id.to_owned())).or_default();
            entry.upgrade().unwrap_or_else(|| {
                let turn = Arc::new(Turn::default());
                *entry = Arc::downgrade(&turn);
                turn
            })
        };
        Flight { _guard: turn.lock_owned().await }
    }
}
