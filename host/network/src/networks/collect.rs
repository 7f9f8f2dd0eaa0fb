use std::time::Duration;

use wharf_error::Result;
use wharf_store::Writer;

use super::{Inner, Networks};
use crate::{Mode, attachment::CollectionTable, conf::Network};

/// How often is looked for a moment in which nothing is being attached.
const PAUSE: Duration = Duration::from_millis(100);

/// How long is waited for one; the next start collects then.
const PATIENCE: Duration = Duration::from_secs(600);

impl Networks {
    /// Frees what no pod has: attachments in the books of pods that are not `known`, then, through plugins that know
    /// GC (CNI 1.1), all that is not in the books. Once, at the start; what fails is logged, and left to the next start.
    ///
    /// `known` is asked after the books of attachments were read: a pod that has come meanwhile is known by then.
    pub async fn collect(&self, known: impl Fn(&str) -> bool) {
        let rows: Vec<_> = self.inner.rows().keys().cloned().collect();
        for pod in rows.into_iter().filter(|pod| !known(pod)) {
            match self.detach(&pod).await {
                Ok(()) => tracing::info!(pod, "freed the network attachments of a pod that is not in the books"),
                Err(error) => {
                    tracing::warn!(pod, %error, "free the network attachments of a pod that is not in the books")
                }
            }
        }
        if self.inner.config.gc && self.inner.config.mode == Mode::Cni {
            self.free_strangers().await;
        }
    }

    async fn free_strangers(&self) {
        let inner = &*self.inner;
        let loaded = inner.loaded().await;
        for network in
            loaded.networks.iter().flatten().filter(|network| network.version.has_gc() && !network.disable_gc)
        {
            // Never in the queue of the lock: a plugin that hangs with one pod would keep all others waiting behind us.
            let quiet = async {
                loop {
                    match inner.collecting.try_write() {
                        Ok(quiet) => return quiet,
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
            };
            let Ok(_quiet) = tokio::time::timeout(PATIENCE, quiet).await else {
                return tracing::warn!("collect leaked network attachments: pods are always being attached");
            };
            let valid: Vec<_> = {
                let rows = inner.rows();
                let joined = rows.values().flat_map(|row| row.joined.iter().map(move |joined| (row, joined)));
                let here = joined.filter(|(_, joined)| joined.network.name == network.name);
                here.map(|(row, joined)| (row.pod.clone(), joined.interface.clone())).collect()
            };
            self.free(network, &valid).await;
        }
    }

    async fn free(&self, network: &Network, valid: &[(String, String)]) {
        let inner = &*self.inner;
        // A daemon that is killed now leaves plugins with a list that is soon an old one: the next must know.
        let freed = match inner.mark_collection(true).await {
            Ok(()) => inner.plugins.gc(network, valid).await.and(inner.mark_collection(false).await),
            failed => failed,
        };
        match freed {
            Ok(()) => {
                tracing::debug!(network = network.name, valid = valid.len(), "collected leaked network attachments");
            }
            Err(error) => tracing::warn!(%error, "collect leaked network attachments"),
        }
    }
}

// === impl Inner ===

impl Inner {
    async fn mark_collection(&self, under_way: bool) -> Result<()> {
        let key = wharf_store::prefix(&self.config.namespace);
        let mark = move |w: &mut Writer<'_>| match under_way {
            true => w.put::<CollectionTable>(&key, &()),
            false => w.delete::<CollectionTable>(&key).map(drop),
        };
        self.store.crash(mark).await
    }
}
