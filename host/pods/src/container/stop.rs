use std::time::Duration;

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::record::Stage;
use crate::{
    Pods,
    inner::{ContainerEntry, Inner},
};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

impl Pods {
    /// Asks the container to end with its stop signal, and kills it after `timeout`; zero kills at once.
    ///
    /// Idempotent: a container that has ended, never ran, or is gone is success. Cancelling the call stops nothing
    /// that is under way.
    pub async fn stop_container(&self, id: &str, timeout: Duration) -> Result<()> {
        let entry = match self.inner.recovered_entry(id).await {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        let inner = self.inner.clone();
        crate::detached("stop container", async move {
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
            drop(entry.life.lock().await);
        }
    }

    /// Takes no `life` lock: a kill must not queue behind a stop with a long timeout.
    pub(crate) async fn stop_container(&self, entry: &ContainerEntry, timeout: Duration) -> Result<()> {
        let container = entry.row();
        if !matches!(container.stage, Stage::Running | Stage::Starting) {
            return Ok(());
        }
        let what = || format!("stop container {}", container.id);
        if !timeout.is_zero() {
            self.signal(entry, container.stop_signal.unwrap_or(SIGTERM), false).await.step(what)?;
            if tokio::time::timeout(timeout, entry.ended()).await.is_ok() {
                return Ok(());
            }
        }
        point!("pods.stop-container.kill");
        self.signal(entry, SIGKILL, true).await.step(what)?;
        point!("pods.stop-container.killed");
        let deadline = self.config.kill_deadline;
        tokio::time::timeout(deadline, entry.ended()).await.map_err(|_| {
            Error::new(
                Kind::DeadlineExceeded,
                format!("stop container {}: it has not ended {deadline:?} after SIGKILL", container.id),
            )
            .hint("a process of it may hang in the kernel (state D); the stop can be tried again")
        })
    }

    async fn signal(&self, entry: &ContainerEntry, signal: i32, all: bool) -> Result<()> {
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
