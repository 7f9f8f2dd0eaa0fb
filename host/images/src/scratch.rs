use std::{
    collections::{BTreeSet, HashSet},
    future::Future,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharf_error::{Error, Kind, Result};
use wharf_snapshots::Snapshots;

use crate::core::Core;

/// What all snapshots that are being written are called. Other clients call theirs `extract-…`.
pub(crate) const PREFIX: &str = "wharf-extract-";

/// How often, and after what time each, the removal of what is left is tried again.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// Tells this process's snapshots from those that a killed one left, so that no key is used twice.
static PROCESS: LazyLock<String> = LazyLock::new(|| format!("{PREFIX}{:016x}-", rand::random::<u64>()));
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What one piece of work has begun and not yet finished: its tasks, its threads and its half-written snapshots.
/// [`finish`](Self::finish) must be awaited at its end, however that came.
#[derive(Clone)]
pub(crate) struct Scratch {
    snapshots: Snapshots,
    namespace: Arc<str>,
    keys: Arc<Mutex<BTreeSet<String>>>,
    /// The keys of all work that is under way.
    live: Keys,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// The keys of snapshots that are being written by this process: what else is called so is garbage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Arc<Mutex<HashSet<String>>>);

// === impl Keys ===

impl Keys {
    /// Whether a snapshot is a half-written layer that nobody is at: of a killed daemon, or one that could not be
    /// removed.
    pub fn is_left_over(&self, key: &str) -> bool {
        key.starts_with(PREFIX) && !self.lock().contains(key)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Scratch ===

impl Scratch {
    pub fn new(core: &Core, namespace: &str, cancel: CancellationToken) -> Self {
        Self {
            snapshots: core.snapshots.clone(),
            namespace: namespace.into(),
            keys: Arc::default(),
            live: core.keys.clone(),
            cancel,
            tasks: TaskTracker::new(),
        }
    }

    /// A key that no snapshot has, recorded before one is made of it.
    pub fn key(&self) -> String {
        let key = format!("{}{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed));
        self.live.lock().insert(key.clone());
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        key
    }

    /// The snapshot of this key is committed: its key is free.
    pub fn committed(&self, key: &str) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.live.lock().remove(key);
    }

    /// Removes a snapshot that did not become what it should.
    pub async fn discard(&self, key: &str) -> Result<()> {
        match self.snapshots.remove(&self.namespace, key).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => {
                self.committed(key);
                Ok(())
            }
        }
    }

    /// Runs work on a task of its own that ends early when the whole does.
    pub fn spawn<R: Send + 'static>(
        &self,
        work: impl Future<Output = Result<R>> + Send + 'static,
    ) -> oneshot::Receiver<Result<R>> {
        let (sender, receiver) = oneshot::channel();
        let cancel = self.cancel.clone();
        let span = tracing::Span::current();
        self.tasks.spawn(tracing::Instrument::instrument(
            async move {
                let result = cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(cancelled()));
                let _ = sender.send(result);
            },
            span,
        ));
        receiver
    }

    /// Runs blocking work on a thread that [`finish`](Self::finish) waits for.
    pub async fn blocking<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
        let span = tracing::Span::current();
        let job = self.tasks.spawn_blocking(move || span.in_scope(work));
        job.await.map_err(|error| Error::internal("images: a blocking thread ended early").because(error))
    }

    /// Ends when the work is to end: for readers in threads.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Ends what still runs, waits for it, and removes what it left. On a disk so full that not even that can be written
    /// down, it is tried again for a while once this has returned: the download, which takes room too, is let go then.
    pub async fn finish(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if !self.discard_all().await {
            tokio::spawn(async move {
                for _ in 0..TRIES {
                    tokio::time::sleep(PAUSE).await;
                    if self.discard_all().await {
                        return;
                    }
                }
                for key in self.left() {
                    tracing::warn!(snapshot = key, "a half-written layer stays until it is collected");
                    self.committed(&key);
                }
            });
        }
    }

    /// Whether nothing is left.
    async fn discard_all(&self) -> bool {
        let mut all = true;
        for key in self.left() {
            if let Err(error) = self.discard(&key).await {
                tracing::info!(snapshot = key, %error, "a half-written layer cannot be removed yet");
                all = false;
            }
        }
        all
    }

    fn left(&self) -> Vec<String> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

pub(crate) fn cancelled() -> Error {
    Error::new(Kind::Cancelled, "nobody waits for it any more")
}
