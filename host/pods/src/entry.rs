//! A pod and a container as the daemon has them in memory: the row, and what verbs meet at.

use std::sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicBool};

use tokio::sync::watch;
use wharf_error::{Error, Kind, Result};
use wharf_steps::{Turn, step};

use crate::{
    container::{self, Container},
    pod::Pod,
    shim::Shim,
};

/// A pod's row, its shim, and the lock under which its life moves on.
pub(crate) struct PodEntry {
    row: Mutex<Pod>,
    shim: Mutex<Option<Shim>>,
    /// False while a new daemon looks for the shim of a pod that it found in the books.
    looked: watch::Sender<bool>,
    /// False until a new daemon has undone or gone on with what the last one left of the pod and its containers.
    recovered: watch::Sender<bool>,
    /// Held by one verb at a time.
    pub(crate) life: Turn,
}

/// A container's row, the news of its end, and the lock under which its life moves on.
pub(crate) struct ContainerEntry {
    row: Mutex<Container>,
    /// Writers of the row, one at a time: a verb and the watcher of its end may meet.
    pub(crate) book: tokio::sync::Mutex<()>,
    pub(crate) ended: watch::Sender<bool>,
    /// Its stop signal is sent or about to be: many programs take a second one for "at once". Not in the books, a new
    /// daemon may ask again.
    pub(crate) asked: AtomicBool,
    /// Somebody has stopped it, by a signal or at once. Not in the books either.
    pub(crate) stopped: AtomicBool,
    /// Held by one verb at a time; never by the watcher of its end.
    pub(crate) life: Turn,
}

// === impl PodEntry ===

impl PodEntry {
    /// `looked`: see [`crate::inner::Inner::list_pod`].
    pub(crate) fn new(pod: Pod, looked: bool) -> Self {
        Self {
            row: Mutex::new(pod),
            shim: Mutex::default(),
            looked: watch::Sender::new(looked),
            recovered: watch::Sender::new(looked),
            life: Turn::default(),
        }
    }

    pub(crate) fn row(&self) -> Pod {
        self.lock().clone()
    }

    /// The shim's client; waits while a new daemon still looks for it.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` where the pod has none: it was stopped, or its shim is gone.
    pub(crate) async fn shim(&self) -> Result<Shim> {
        // The sender lives in `self`, so the channel cannot close; the steps of the search have deadlines of their own.
        let (id, mut looked) = (self.lock().id.clone(), self.looked.subscribe());
        let _ =
            step(move || format!("pod sandbox {id}: look for its supervisor"), looked.wait_for(|looked| *looked)).await;
        self.found_shim().ok_or_else(|| {
            Error::new(Kind::FailedPrecondition, format!("pod sandbox {} is not ready", self.lock().id))
                .hint("it was stopped or its supervisor is gone; remove it and run a new one")
        })
    }

    /// The shim's client, if it is known now.
    pub(crate) fn found_shim(&self) -> Option<Shim> {
        self.shim.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The search for the shim has come to its end.
    pub(crate) fn looked(&self) {
        self.looked.send_replace(true);
    }

    /// Waits until what the last daemon left of the pod and its containers is as a row says. Not under the pod's `life`,
    /// which the recovery holds.
    pub(crate) async fn recovered(&self) {
        // The sender lives in `self`, so the channel cannot close; the recovery has deadlines of its own.
        let (id, mut recovered) = (self.lock().id.clone(), self.recovered.subscribe());
        let name = move || format!("pod sandbox {id}: take it over from the last daemon");
        let _ = step(name, recovered.wait_for(|recovered| *recovered)).await;
    }

    /// The recovery has come to its end.
    pub(crate) fn set_recovered(&self) {
        self.looked.send_replace(true);
        self.recovered.send_replace(true);
    }

    pub(crate) fn set_shim(&self, shim: Option<Shim>) {
        *self.shim.lock().unwrap_or_else(PoisonError::into_inner) = shim;
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Pod> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ContainerEntry ===

impl ContainerEntry {
    pub(crate) fn new(container: Container) -> Self {
        Self {
            ended: watch::Sender::new(container.stage == container::Stage::Exited),
            row: Mutex::new(container),
            book: tokio::sync::Mutex::default(),
            asked: AtomicBool::default(),
            stopped: AtomicBool::default(),
            life: Turn::default(),
        }
    }

    pub(crate) fn row(&self) -> Container {
        self.lock().clone()
    }

    /// Whether it runs, or is about to, by the books.
    pub(crate) fn is_running(&self) -> bool {
        self.lock().is_under_way()
    }

    /// Waits until the container's end is in the books.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Container> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
