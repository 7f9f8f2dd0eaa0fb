use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharf_error::{Error, Kind, Result};
use wharf_snapshots::Snapshots;

/// What all snapshots that are being written are called.
pub(crate) const PREFIX: &str = "extract-";

/// Tells this process's snapshots from those that a killed one left.
static PROCESS: LazyLock<String> = LazyLock::new(|| format!("{PREFIX}{:016x}-", rand::random::<u64>()));
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What one piece of work has begun and not yet finished: its tasks, its threads and its half-written snapshots.
/// [`finish`](Self::finish) must be awaited at its end, however that came.
#[derive(Clone)]
pub(crate) struct Scratch {
    snapshots: Snapshots,
    namespace: Arc<str>,
    keys: Arc<Mutex<BTreeSet<String>>>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

// === impl Scratch ===

impl Scratch {
    pub fn new(snapshots: Snapshots, namespace: &str, cancel: CancellationToken) -> Self {
        Self { snapshots, namespace: namespace.into(), keys: Arc::default(), cancel, tasks: TaskTracker::new() }
    }

    /// A key that no snapshot has, recorded before one is made of it.
    pub fn key(&self) -> String {
        let key = format!("{}{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed));
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        key
    }

    /// The snapshot of this key is committed: its key is free.
    pub fn committed(&self, key: &str) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
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

    /// Ends what still runs, waits for it, and removes what it left.
    pub async fn finish(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let keys: Vec<String> = self.keys.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        for key in keys {
            if let Err(error) = self.discard(&key).await {
                tracing::warn!(snapshot = key, %error, "a half-written layer stays until the next start");
            }
        }
    }
}

/// Whether a key is of an extraction of an earlier process.
pub(crate) fn is_left_over(key: &str) -> bool {
    key.starts_with(PREFIX) && !key.starts_with(PROCESS.as_str())
}

pub(crate) fn cancelled() -> Error {
    Error::new(Kind::Cancelled, "nobody waits for it any more")
}
