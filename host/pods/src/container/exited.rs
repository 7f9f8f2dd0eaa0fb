//! The end of a container: from the shim's word into the books, once.

use std::{sync::Arc, time::Duration};

use tracing::Instrument as _;
use wharf_crash_points::point;
use wharf_error::Result;
use wharf_shim_api::ExitRecord;

use crate::{
    entry::ContainerEntry,
    inner::Inner,
    pod::blocking,
    shim::{Exit, Shim},
    time,
};

/// The exit code of a container whose end nobody saw.
pub(crate) const UNSEEN: i32 = 255;

const SIGKILL: i32 = 9;

/// How often a shim that does not answer is asked again before its container counts as ended unseen.
const RETRIES: u32 = 5;

// === impl Inner ===

impl Inner {
    /// Waits in the background for the container's end and books it. One watcher a running container.
    pub(crate) fn watch(self: &Arc<Self>, entry: Arc<ContainerEntry>, shim: Shim) {
        let inner = self.clone();
        let id = entry.row().id;
        let span = tracing::info_span!(parent: None, "exit", container = %id);
        tokio::spawn(
            async move {
                let exit = inner.wait(&entry, &shim).await;
                if let Err(error) = inner.ended(&entry, &shim, exit).await {
                    tracing::error!(%error, "book the end of a container; it is asked for again at the next start");
                }
            }
            .instrument(span),
        );
    }

    /// `None`: the shim is gone and nobody saw the end.
    async fn wait(&self, entry: &ContainerEntry, shim: &Shim) -> Option<Exit> {
        let row = entry.row();
        for attempt in 1..=RETRIES {
            match shim.wait(&row.id, "").await {
                Ok(exit) => return Some(exit),
                Err(error) => {
                    tracing::debug!(%error, attempt, "wait for the end of a container");
                    // The shim is gone, or the connection broke; a new connection tells which.
                    if shim.reconnect().await.is_err() {
                        return None;
                    }
                    tokio::time::sleep(Duration::from_millis(20 << attempt)).await;
                }
            }
        }
        None
    }

    /// Books the end of a container. `exit` of none: what the shim left in the bundle counts, or else it ended
    /// unseen, and whatever is left in its control group is killed.
    pub(crate) async fn ended(&self, entry: &ContainerEntry, shim: &Shim, exit: Option<Exit>) -> Result<()> {
        let container = entry.row();
        let bundle = container.bundle(&self.pods_dir());
        let left = blocking("read a container's exit record", move || ExitRecord::read(&bundle)).await?;
        let oom = left.as_ref().is_some_and(|left| left.oom);
        let seen = exit
            .map(|exit| (exit.code, exit.at))
            .or_else(|| left.as_ref().map(|left| (left.exit_code, left.exited_at_ns)));
        if seen.is_none() {
            self.kill_group(&container.cgroup).await?;
        }
        let (code, at) = seen.unwrap_or((UNSEEN, time::now()));
        self.update_container(entry, |row| {
            // A start that failed, or a removal, has the last word.
            if row.is_under_way() {
                // Started by a daemon that was killed before it could book that: a retry must not take it for one that
                // could not be started.
                if exit.is_some() && row.started_at == 0 {
                    row.started_at = at;
                }
                row.set_exited(code, at, oom);
                if seen.is_none() {
                    row.reason = "Unknown".into();
                    row.message = "its supervisor ended before it; the exit code is not known".into();
                }
            }
        })
        .await?;
        tracing::info!(container = %container.id, code, oom, "container has ended");
        point!("pods.exited.booked");
        if exit.is_some() {
            // Only now: the shim keeps the exit code until it is in our books.
            if let Err(error) = shim.delete_task(&container.id, "").await
                && !error.is_not_found()
            {
                tracing::warn!(container = %container.id, %error, "delete the task of a container that ended");
            }
        }
        Ok(())
    }

    /// Kills what is left in a control group and removes it. None there is success.
    pub(crate) async fn kill_group(&self, path: &str) -> Result<()> {
        let (group, deadline) = (self.cgroups.open(path)?, self.config.kill_deadline);
        blocking("kill what is left of a container", move || {
            if group.exists() {
                group.thaw()?;
                group.kill(SIGKILL)?;
            }
            group.delete(deadline)
        })
        .await
    }
}
