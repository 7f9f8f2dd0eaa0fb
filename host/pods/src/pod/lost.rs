//! A pod whose shim ends without being asked to.

use std::{sync::Arc, time::Duration};

use tracing::Instrument as _;
use wharf_error::{Kind, Result};
use wharf_steps::Steps;

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
                        inner.end_ended(&entry).await;
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
    async fn end_ended(&self, entry: &PodEntry) {
        let _life = entry.life.take().await;
        let pod = entry.row();
        if pod.stage != Stage::Made || entry.found_shim().is_none() {
            return;
        }
        tracing::warn!("the pod has ended, and its stop is not booked: what is left of it is stopped");
        let steps = Steps::new(format!("stop pod sandbox {}", pod.id));
        let ended = steps.scope(async {
            let Err(error) = self.stop_pod(entry).await else { return Ok(()) };
            tracing::warn!(%error, "stop what is left of a pod");
            // Whatever it was: nothing can run in the pod any more, and a client that takes it for ready would wait for ever.
            self.lose(entry, &pod).await
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "clean up after a pod that has ended; its removal tries again");
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
