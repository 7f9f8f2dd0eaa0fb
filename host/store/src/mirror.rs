use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use wharf_error::{Result, ResultExt as _};

use crate::{committer::Committer, database::Database, overlay::Overlay, table::COPIED};

/// Copies the tables that ask for it from the file on tmpfs to the durable one, within a second, on a thread of its own.
pub(crate) struct Mirror {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Arc<Database>,
    committer: Arc<Committer>,
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// One copy at a time, so that an older one never lands on a newer one.
    turn: Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    rows: Rows,
    stop: bool,
}

/// Tables and keys that changed since they were copied.
type Rows = BTreeMap<String, BTreeSet<String>>;

/// How long changes are gathered: half of what is promised, the rest is for the flush.
const GATHER: Duration = Duration::from_millis(400);

// === impl Mirror ===

impl Mirror {
    /// Starts the thread, after making the copy equal to what is there: the last daemon may have been killed in between.
    pub(crate) fn start(meta: &Arc<Database>, state: Arc<Database>, committer: Arc<Committer>) -> Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting { rows: differences(meta, &state)?, stop: false }),
            state,
            committer,
            wake: Condvar::new(),
            turn: Mutex::new(()),
        });
        shared.copy()?;
        let thread = thread::Builder::new().name("store-copy".into());
        let worker = shared.clone();
        let thread = thread.spawn(move || worker.work()).step(|| "store: start the copy's thread".into())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes note of rows to copy.
    pub(crate) fn changed(&self, changes: &Overlay) {
        let rows = changes.changed(COPIED);
        if !rows.is_empty() {
            self.shared.note(rows);
            self.shared.wake.notify_all();
        }
    }

    /// Copies what has changed until now, and returns when it is flushed.
    pub(crate) fn copy(&self) -> Result<()> {
        self.shared.copy()
    }

    /// Copies the rest and ends the thread.
    pub(crate) fn stop(&self) {
        self.shared.waiting().stop = true;
        self.shared.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn work(&self) {
        let mut failing = false;
        while self.gather() {
            // The rows of a copy that failed wait for the next round, which begins after the usual pause.
            let copied = self.copy();
            match &copied {
                Err(error) if !failing => tracing::error!(%error, "store: copy for after a reboot"),
                Ok(()) if failing => tracing::info!("store: copies for after a reboot again"),
                _ => {}
            }
            failing = copied.is_err();
        }
        if let Err(error) = self.copy() {
            tracing::error!(%error, "store: last copy for after a reboot");
        }
    }

    /// Waits for a change and then a while for more; `false` when it is time to stop.
    fn gather(&self) -> bool {
        let idle = |waiting: &mut Waiting| waiting.rows.is_empty() && !waiting.stop;
        let waiting = self.wake.wait_while(self.waiting(), idle).unwrap_or_else(PoisonError::into_inner);
        let (mut waiting, end) = (waiting, Instant::now() + GATHER);
        while !waiting.stop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            waiting = self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn copy(&self) -> Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = std::mem::take(&mut self.waiting().rows);
        if rows.is_empty() {
            return Ok(());
        }
        let copied = self.copy_rows(&rows);
        if copied.is_err() {
            self.note(rows);
        }
        copied
    }

    fn copy_rows(&self, rows: &Rows) -> Result<()> {
        let mut values = Vec::new();
        let view = self.state.view()?;
        for (table, keys) in rows {
            for key in keys {
                values.push((table.clone(), key.clone(), view.get(table, key)?));
            }
        }
        drop(view);
        self.committer.write(move |writer| {
            values.into_iter().for_each(|(table, key, value)| writer.set_bytes(&table, &key, value));
            Ok(())
        })
    }

    fn note(&self, rows: Rows) {
        let mut waiting = self.waiting();
        for (table, keys) in rows {
            waiting.rows.entry(table).or_default().extend(keys);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows in which the copy is not what it copies.
fn differences(meta: &Arc<Database>, state: &Arc<Database>) -> Result<Rows> {
    let (meta, state) = (meta.view()?, state.view()?);
    let mut tables: BTreeSet<String> = meta.tables(COPIED)?.into_iter().collect();
    tables.extend(state.tables(COPIED)?);
    let mut rows = Rows::new();
    for table in tables {
        let copy: BTreeMap<_, _> = meta.range(&table, "")?.into_iter().collect();
        let original: BTreeMap<_, _> = state.range(&table, "")?.into_iter().collect();
        let keys = copy.keys().chain(original.keys()).filter(|key| copy.get(*key) != original.get(*key));
        let keys: BTreeSet<String> = keys.cloned().collect();
        if !keys.is_empty() {
            rows.insert(table, keys);
        }
    }
    Ok(rows)
}
