//! Want of memory, told when it happens: a process that the kernel kills while the first one lives is news now.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::io::{Interest, unix::AsyncFd};
use wharf_cgroups::{Cgroup, OomNews, OomSignal, OomWatch};
use wharf_error::{Result, ResultExt as _};
use wharf_shim_api::{TaskEvent, events::TaskOOM};

use crate::{container::Container, io, operation::blocking, shim::Shim};

/// How many kills the daemon has been told of.
#[derive(Default)]
pub struct Told(Mutex<u64>);

// === impl Told ===

impl Told {
    /// Publishes an event if there are more kills than were told, so that each is told once, whoever sees it first.
    pub fn tell(&self, shim: &Shim, container: &str, kills: u64) {
        // Held until it is queued: whoever finds it told may queue what comes after.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kills > *told {
            *told = kills;
            publish(shim, container);
        }
    }
}

/// Watches the cgroup of a container that is being made. Blocks. Where that is not to be had, its end tells.
pub fn watch(id: &str, cgroup: &Cgroup) -> Option<OomWatch> {
    match cgroup.watch_oom() {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!(container = id, %error, "want of memory is told at its end only");
            None
        }
    }
}

/// Tells of want of memory until the container ends. To be called inside the runtime.
pub fn spawn(shim: &Arc<Shim>, container: &Arc<Container>, watch: OomWatch) {
    let (shim, container) = (shim.clone(), container.clone());
    tokio::spawn(async move {
        let watched = tokio::select! {
            watched = follow(&shim, &container, watch) => watched,
            // Its report has told the rest.
            _ = container.init.wait() => Ok(()),
        };
        if let Err(error) = watched {
            tracing::warn!(container = container.id, %error, "want of memory is told at its end only");
        }
    });
}

/// Until the cgroup is gone.
async fn follow(shim: &Shim, container: &Container, mut watch: OomWatch) -> Result<()> {
    let interest = match watch.signal() {
        OomSignal::Readable => Interest::READABLE,
        OomSignal::Priority => Interest::PRIORITY,
    };
    let signal = watch.as_fd().try_clone_to_owned().step(|| "watch memory".into())?;
    let signal = io::watch(signal, interest).step(|| "watch memory".into())?;
    let mut again = None;
    loop {
        signalled(&signal, interest, again).await?;
        let (watch_again, news) = blocking(move || watch.look().map(|news| (watch, news))).await?;
        watch = watch_again;
        let Some(OomNews { kills, stalled, again: next }) = news else { return Ok(()) };
        again = next;
        container.oom.tell(shim, &container.id, kills);
        if stalled {
            publish(shim, &container.id);
        }
    }
}

/// Waits for the descriptor, for so long at most.
async fn signalled(signal: &AsyncFd<OwnedFd>, interest: Interest, most: Option<Duration>) -> Result<()> {
    let ready = async {
        signal.ready(interest).await.step(|| "wait for a word of the kernel about memory".into())?.clear_ready();
        Ok(())
    };
    match most {
        Some(most) => tokio::time::timeout(most, ready).await.unwrap_or(Ok(())),
        None => ready.await,
    }
}

fn publish(shim: &Shim, container: &str) {
    tracing::info!(container, "out of memory");
    shim.events.publish(&TaskEvent::Oom(TaskOOM { container_id: container.to_owned(), ..TaskOOM::default() }));
}
