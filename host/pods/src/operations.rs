use std::{
    collections::HashMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tracing::Instrument as _;
use wharf_error::{Error, Kind, Result};
use wharf_steps::Steps;

use crate::{inner::Inner, request_id};

/// Work that callers wait for but do not own: a caller that goes away detaches, a retry joins.
///
/// One entry a key. The same key with other contents is refused while the first is under way.
///
/// Nobody waits longer than `patience` for one step: then the caller is told which it is, and the operation goes on.
pub(crate) struct Operations {
    running: Arc<Mutex<HashMap<String, Running>>>,
    patience: Duration,
}

struct Running {
    contents: Vec<u8>,
    steps: Steps,
    outcome: Shared<BoxFuture<'static, Outcome>>,
}

type Outcome = std::result::Result<String, Arc<Error>>;

// === impl Inner ===

impl Inner {
    /// Runs `work` to its end although the caller may go away. The caller waits for it, no longer than is configured for
    /// one step, and `more` where a step is asked to take its time. `what` names it with its object: `stop container ID`.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        what: String,
        more: Duration,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (request, steps) = (request_id::request_id(), Steps::new(what.clone()));
        let account = steps.clone();
        let work = async move { account.scope(work).await };
        let task = tokio::spawn(request_id::with_request_id(request, work).in_current_span());
        let ended = steps.wait(self.config.step_deadline.saturating_add(more), task).await?;
        ended.unwrap_or_else(|_| Err(Error::internal(format!("{what}: the operation was cut short"))))
    }
}

// === impl Operations ===

impl Operations {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { running: Arc::default(), patience }
    }

    /// Joins the operation under `key`, or answers with what `known` finds, or spawns `work`. `verb` is what is done to the
    /// object that the key names.
    ///
    /// `known` is asked under the lock that an operation's end takes too, so that a finished operation is
    /// always seen either here or there. Cancelling the returned future cancels nothing else.
    pub(crate) async fn run<F>(
        &self,
        verb: &str,
        key: &str,
        contents: &[u8],
        known: impl FnOnce() -> Result<Option<String>>,
        work: impl FnOnce() -> F,
    ) -> Result<String>
    where
        F: Future<Output = Result<String>> + Send + 'static,
    {
        let (steps, outcome) = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(under_way) = running.get(key) {
                if under_way.contents != contents {
                    return Err(Error::new(
                        Kind::AlreadyExists,
                        format!("{key}: a different request of this name is under way"),
                    )
                    .hint("wait for it, or use another name or attempt"));
                }
                (under_way.steps.clone(), under_way.outcome.clone())
            } else if let Some(answer) = known()? {
                return Ok(answer);
            } else {
                let steps = Steps::new(format!("{verb} {key}"));
                let outcome = self.spawn(key.to_owned(), &steps, work());
                let (contents, same, joined) = (contents.to_vec(), steps.clone(), outcome.clone());
                running.insert(key.to_owned(), Running { contents, steps, outcome });
                (same, joined)
            }
        };
        steps.wait(self.patience, outcome).await?.map_err(|error| Error::new(error.kind(), error.to_string()))
    }

    fn spawn<F>(&self, key: String, steps: &Steps, work: F) -> Shared<BoxFuture<'static, Outcome>>
    where
        F: Future<Output = Result<String>> + Send + 'static,
    {
        let running = self.running.clone();
        let (request, steps) = (request_id::request_id(), steps.clone());
        let task = tokio::spawn(
            request_id::with_request_id(request, async move {
                let outcome = AssertUnwindSafe(steps.scope(work)).catch_unwind().await.unwrap_or_else(|_| {
                    Err(Error::internal(format!("{key}: the operation panicked; the daemon's log has the details")))
                });
                running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                outcome.map_err(Arc::new)
            })
            .in_current_span(),
        );
        async move {
            task.await.unwrap_or_else(|_| Err(Arc::new(Error::new(Kind::Unavailable, "the daemon is shutting down"))))
        }
        .boxed()
        .shared()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_retry_joins_and_a_cancelled_caller_stops_nothing() {
        let operations = Arc::new(Operations::new(Duration::from_secs(60)));
        let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let call = || {
            let (operations, runs, gate) = (operations.clone(), runs.clone(), gate.clone());
            async move {
                let work = move || async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Ok("id".to_owned())
                };
                operations.run("run", "pod", b"same", || Ok(None), work).await
            }
        };
        let first = tokio::spawn(call());
        while runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.is_err());
        let second = tokio::spawn(call());
        let different = operations.run("run", "pod", b"other", || Ok(None), || async { Ok(String::new()) }).await;
        assert_eq!(different.unwrap_err().kind(), Kind::AlreadyExists);
        gate.notify_one();
        assert_eq!(second.await.unwrap().unwrap(), "id");
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_the_key() {
        let operations = Operations::new(Duration::from_secs(60));
        let panicking = || async { if operations_can_panic() { panic!("boom") } else { Ok(String::new()) } };
        assert_eq!(operations.run("do", "k", b"", || Ok(None), panicking).await.unwrap_err().kind(), Kind::Internal);
        let after = operations.run("do", "k", b"", || Ok(None), || async { Ok("fine".to_owned()) }).await;
        assert_eq!(after.unwrap(), "fine");
    }

    fn operations_can_panic() -> bool {
        std::hint::black_box(true)
    }
}
