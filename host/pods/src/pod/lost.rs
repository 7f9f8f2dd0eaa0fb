//! A pod whose shim ends without being asked to.

use std::{sync::Arc, time::Duration};

use tracing::Instrument as _;
use wharf_error::{Kind, Result};

use super::{Pod, record::Stage};
use crate::{entry::PodEntry, inner::Inner, shim};

/// How long a broken connection may take to be made anew.
const PAUSE: Duration = Duration::from_millis(50);

// === impl Inner ===

impl Inner {
    /// Watches in the background that the pod's shim lives. One watcher a ready pod.
    pub(crate) fn watch_pod(self: &Arc<Self>, entry: Arc<PodEntry>) {
        let inner = self.clone();
        let span = tracing::info_span!(parent: None, "supervisor", pod = %entry.row().id);
        tokio::spawn(
            async move {
                while let Some(shim) = entry.found_shim() {
                    if shim.wait_sandbox().await.is_ok() {
                        inner.end_ended(entry).await;
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                    match shim.reconnect().await {
                        // It is there: a slow node is no reason to end what runs.
                        Err(error) if error.kind() != Kind::DeadlineExceeded => break,
                        _ => {}
                    }
                }
                let _life = entry.life.take().await;
                let pod = entry.row();
                if pod.stage != Stage::Made {
                    return;
                }
                tracing::error!("the pod's supervisor is gone, and with it the pod's namespaces");
                if let Err(error) = inner.lose(&entry, &pod).await {
                    tracing::error!(%error, "clean up after a supervisor; the pod's removal tries again");
                }
            }
            .instrument(span),
        );
    }

    /// The pod's sandbox has ended: whoever asked for that books it. Nobody did where its own process was killed, as with a scope
    /// that is stopped by hand.
    async fn end_ended(self: &Arc<Self>, entry: Arc<PodEntry>) {
        let (inner, what) = (self.clone(), format!("stop pod sandbox {}", entry.row().id));
        let stopped = self.detached(what, Duration::ZERO, async move {
            let _life = entry.life.take().await;
            // A stop that failed has nobody to ask any more either, and is tried again by who asked for it.
            if entry.row().stage != Stage::Made || entry.found_shim().is_none() {
                return Ok(());
            }
            tracing::warn!("the pod was ended, and not by its client: what is left of it is stopped");
            inner.stop_pod(&entry).await
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "stop what is left of a pod; its removal tries again");
        }
    }

    /// The pod's shim is gone: ends what is left and books the pod as not ready. Callers hold its `life`.
    pub(crate) async fn lose(&self, entry: &PodEntry, pod: &Pod) -> Result<()> {
        entry.set_shim(None);
        for container in self.containers_of(&pod.id) {
            self.kill_group(&container.row().cgroup).await?;
        }
        if let Err(error) = self.networks.detach(&pod.id).await {
            tracing::warn!(pod = %pod.id, %error, "free the networks of a pod whose supervisor is gone; its removal tries again");
        }
        shim::clean_up(&self.config, &pod.id, &self.pod_dir(&pod.id)).await?;
        self.remove_mark(pod).await?;
        self.remove_group(pod).await?;
        self.update_pod(entry, |pod| {
            pod.stage = Stage::Stopped;
            pod.pid = None;
        })
        .await
    }
}
