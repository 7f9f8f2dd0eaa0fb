use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use wharf_error::{Error, Result};
use wharf_registry::{Auth, Reference};
use wharf_steps::Steps;

use super::operation;
use crate::{Image, Progress, core::Core, progress::Reporter};

/// The pulls under way.
#[derive(Clone)]
pub(crate) struct Operations {
    core: Arc<Core>,
    running: Arc<Mutex<HashMap<Key, Arc<Operation>>>>,
}

/// Callers with other credentials do not join: their answer may be another one. Layers that both need are still
/// made once.
#[derive(Clone, Eq, Hash, PartialEq)]
struct Key {
    namespace: String,
    reference: Reference,
    auth: Option<Auth>,
}

struct Operation {
    /// What it is at.
    steps: Steps,
    waiting: watch::Sender<usize>,
    progress: Reporter,
    answer: watch::Sender<Option<Result<Image, Arc<Error>>>>,
}

/// A caller that waits. Dropping it leaves.
struct Waiter(Arc<Operation>);

// === impl Operations ===

impl Operations {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, running: Arc::default() }
    }

    pub async fn pull(
        &self,
        namespace: &str,
        reference: &Reference,
        auth: Option<Auth>,
        progress: Option<watch::Sender<Progress>>,
    ) -> Result<Image> {
        let waiter = self.join(Key { namespace: namespace.to_owned(), reference: reference.clone(), auth });
        let steps = waiter.0.steps.clone();
        steps.follow(self.wait(waiter, reference, progress)).await
    }

    async fn wait(
        &self,
        waiter: Waiter,
        reference: &Reference,
        progress: Option<watch::Sender<Progress>>,
    ) -> Result<Image> {
        let mut answer = waiter.0.answer.subscribe();
        let answered = answer.wait_for(Option::is_some);
        let result = match progress {
            None => answered.await,
            Some(progress) => {
                let mut steps = waiter.0.progress.subscribe();
                let answered = tokio::select! {
                    answered = answered => answered,
                    never = follow(&mut steps, &progress) => match never {},
                };
                progress.send_replace(steps.borrow().clone());
                answered
            }
        };
        // The operation itself is kept by the waiter, so its answer comes, unless its task was killed.
        let result = result.map_err(|_| Error::internal(format!("{reference}: the pull ended without an answer")))?;
        match result.as_ref() {
            Some(Ok(image)) => Ok(image.clone()),
            // All who waited are told; the text has the chain of causes.
            Some(Err(error)) => Err(Error::new(error.kind(), error.to_string())),
            None => Err(Error::internal(format!("{reference}: the pull ended without an answer"))),
        }
    }

    fn join(&self, key: Key) -> Waiter {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.entry(key) {
            hash_map::Entry::Occupied(entry) => Waiter::new(entry.get().clone()),
            hash_map::Entry::Vacant(entry) => {
                let operation = Arc::new(Operation {
                    steps: Steps::new(format!("pull {}", entry.key().reference)),
                    waiting: watch::Sender::new(0),
                    progress: Reporter::new(),
                    answer: watch::Sender::new(None),
                });
                let key = entry.key().clone();
                entry.insert(operation.clone());
                // Counted before the operation can look.
                let waiter = Waiter::new(operation.clone());
                tokio::spawn(self.clone().run(key, operation).in_current_span());
                waiter
            }
        }
    }

    async fn run(self, key: Key, operation: Arc<Operation>) {
        let cancel = CancellationToken::new();
        let work = operation::run(
            &self.core,
            &key.namespace,
            &key.reference,
            key.auth.as_ref(),
            &operation.progress,
            cancel.clone(),
        );
        let mut work = std::pin::pin!(operation.steps.scope(work));
        let result = tokio::select! {
            result = &mut work => result,
            () = self.abandoned(&key, &operation) => {
                tracing::info!(image = %key.reference, "the pull is given up: nobody waits for it any more");
                cancel.cancel();
                work.await
            }
        };
        self.leave(&key, &operation);
        operation.answer.send_replace(Some(result.map_err(Arc::new)));
    }

    /// Ends when nobody has waited for long enough; nobody can join then.
    async fn abandoned(&self, key: &Key, operation: &Arc<Operation>) {
        let mut waiting = operation.waiting.subscribe();
        loop {
            let _ = waiting.wait_for(|count| *count == 0).await;
            tokio::select! {
                () = tokio::time::sleep(self.core.config.abandon_after) => {
                    let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                    // Joining counts under the same lock.
                    if *operation.waiting.borrow() == 0 {
                        running.remove(key);
                        return;
                    }
                }
                _ = waiting.wait_for(|count| *count > 0) => {}
            }
        }
    }

    /// Takes this operation out, unless another one has taken its place.
    fn leave(&self, key: &Key, operation: &Arc<Operation>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(key).is_some_and(|there| Arc::ptr_eq(there, operation)) {
            running.remove(key);
        }
    }
}

// === impl Waiter ===

impl Waiter {
    fn new(operation: Arc<Operation>) -> Self {
        operation.waiting.send_modify(|count| *count += 1);
        Self(operation)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|count| *count = count.saturating_sub(1));
    }
}

async fn follow(from: &mut watch::Receiver<Progress>, to: &watch::Sender<Progress>) -> std::convert::Infallible {
    loop {
        let now = from.borrow_and_update().clone();
        to.send_replace(now);
        if from.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
