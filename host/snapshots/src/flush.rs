use std::{
    collections::BTreeMap,
    fs::File,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use wharf_crash_points::point;
use wharf_error::{Result, ResultExt as _};

use crate::{
    core::Core,
    row::{Kind, Row, Rows},
};

/// Committed layers whose bytes may not be on the disk yet. Nobody waits for them: the row says so until a thread
/// has flushed the file system.
#[derive(Default)]
pub(crate) struct Unflushed {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Row and layer.
    layers: BTreeMap<String, u64>,
    stop: bool,
}

/// The thread that flushes.
pub(crate) struct Flusher {
    unflushed: Arc<Unflushed>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How long commits are gathered for one flush: an image's layers come one after the other.
const GATHER: Duration = Duration::from_millis(500);

// === impl Unflushed ===

impl Unflushed {
    pub(crate) fn add(&self, row: String, id: u64) {
        self.waiting().layers.insert(row, id);
        self.wake.notify_all();
    }

    /// Waits for a layer and then a while for more; `false` when it is time to stop.
    fn gather(&self) -> bool {
        let idle = |waiting: &mut Waiting| waiting.layers.is_empty() && !waiting.stop;
        let mut waiting = self.wake.wait_while(self.waiting(), idle).unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + GATHER;
        while !waiting.stop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            waiting = self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Flusher ===

impl Flusher {
    /// Starts the thread.
    pub(crate) fn start(core: Arc<Core>) -> Result<Self> {
        let unflushed = core.unflushed.clone();
        let work = move || {
            while core.unflushed.gather() {
                if let Err(error) = core.flush() {
                    tracing::error!(%error, "layers stay marked as not flushed");
                }
            }
        };
        let thread = thread::Builder::new().name("snapshot-flush".into()).spawn(work);
        let thread = thread.step(|| "snapshots: start the flushing thread".into())?;
        Ok(Self { unflushed, thread: Mutex::new(Some(thread)) })
    }
}

impl Drop for Flusher {
    /// Waits for a flush that is under way, and begins none: what is not flushed is so recorded.
    fn drop(&mut self) {
        self.unflushed.waiting().stop = true;
        self.unflushed.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

// === impl Core ===

impl Core {
    /// Flushes the plugin's file system and marks the layers that were committed before it began.
    pub(crate) fn flush(&self) -> Result<()> {
        let layers = std::mem::take(&mut self.unflushed.waiting().layers);
        if layers.is_empty() {
            return Ok(());
        }
        let flushed = self.flush_layers(layers.clone());
        if flushed.is_err() {
            // Under what was added meanwhile.
            let mut waiting = self.unflushed.waiting();
            let newer = std::mem::replace(&mut waiting.layers, layers);
            waiting.layers.extend(newer);
        }
        flushed
    }

    fn flush_layers(&self, layers: BTreeMap<String, u64>) -> Result<()> {
        let root = self.backend.root();
        let step = || format!("snapshots {}: flush", root.display());
        let folder = File::open(root).step(step)?;
        rustix::fs::syncfs(&folder).map_err(std::io::Error::from).step(step)?;
        point!("snapshots.flushed");
        self.store.write_durable(move |writer| {
            for (key, id) in layers {
                match writer.get::<Rows>(&key)? {
                    Some(row) if row.id == id && row.kind == Kind::Committed => {
                        writer.put::<Rows>(&key, &Row { synced: true, ..row })?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }
}
