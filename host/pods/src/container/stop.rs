use std::{sync::atomic::Ordering, time::Duration};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_steps::step;

use super::{held::held, record::Stage};
use crate::{Pods, entry::ContainerEntry, inner::Inner, pod::blocking};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

impl Pods {
    /// Asks the container to end with its stop signal, and kills it after `timeout`; zero kills at once. A container that
    /// was asked before is not asked again: who repeats the call waits, and kills it after a `timeout` of its own.
    ///
    /// Idempotent: a container that has ended, never ran, or is gone is success. Cancelling the call stops nothing
    /// that is under way.
    pub async fn stop_container(&self, id: &str, timeout: Duration) -> Result<()> {
        let entry = match self.inner.recovered_entry(id).await {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        let (inner, what) = (self.inner.clone(), format!("stop container {}", entry.row().id));
        self.inner
            .detached(what, timeout, async move {
                inner.settle(&entry).await;
                inner.stop_container(&entry, timeout).await
            })
            .await
    }
}

// === impl Inner ===

impl Inner {
    /// Waits until a start under way has come to its end: only then there is something to stop. Callers do not
    /// hold the container's `life`.
    pub(crate) async fn settle(&self, entry: &ContainerEntry) {
        if entry.row().stage == Stage::Starting {
            drop(entry.life.take().await);
        }
    }

    /// Takes no `life` lock: a kill must not queue behind a stop with a long timeout.
    pub(crate) async fn stop_container(&self, entry: &ContainerEntry, timeout: Duration) -> Result<()> {
        let container = entry.row();
        if !container.is_under_way() {
            return Ok(());
        }
        entry.stopped.store(true, Ordering::Release);
        let what = || format!("stop container {}", container.id);
        if !timeout.is_zero() {
            let asked = tokio::time::timeout(timeout, self.ask(entry, container.stop_signal.unwrap_or(SIGTERM)));
            match asked.await {
                Ok(ended) => return ended.step(what),
                Err(_) => tracing::debug!(container = %container.id, ?timeout, "it does not end when asked"),
            }
        }
        point!("pods.stop-container.kill");
        self.signal(entry, SIGKILL, true).await.step(what)?;
        point!("pods.stop-container.killed");
        let deadline = self.config.kill_deadline;
        let ended = step(|| "wait for its end after SIGKILL".into(), entry.ended());
        if tokio::time::timeout(deadline, ended).await.is_ok() {
            return Ok(());
        }
        let group = self.cgroups.open(&container.cgroup)?;
        let why = blocking("look why it does not end", move || Ok(held(&group))).await?;
        let what = format!("stop container {}: it has not ended {deadline:?} after SIGKILL{why}", container.id);
        Err(Error::new(Kind::DeadlineExceeded, what).hint("the stop can be tried again"))
    }

    pub(super) async fn signal(&self, entry: &ContainerEntry, signal: i32, all: bool) -> Result<()> {
        let container = entry.row();
        let sent = match self.pod_entry(&container.pod_id)?.shim().await {
            Ok(shim) => shim.kill(&container.id, "", signal, all).await,
            Err(gone) => Err(gone),
        };
        match sent {
            // It ended meanwhile; whoever waits for it hears so.
            Err(error) if error.is_not_found() || error.kind() == Kind::FailedPrecondition => Ok(()),
            sent => sent,
        }
    }
}
