use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use wharf_error::{Result, ResultExt as _};
use wharf_store::prefix;

use crate::{
    book::{Images, Names},
    core::Core,
    leases::Lease,
};

/// How often what was missed, or could not be removed at once, is looked for.
const INTERVAL: Duration = Duration::from_secs(600);

// === impl Core ===

impl Core {
    /// Removes what nothing needs: layers, documents, half-written layers that nobody is at, parts of downloads that
    /// nobody came back for. Pulls that begin meanwhile wait, so that none finds a layer that is gone a moment later.
    pub async fn collect(&self, namespace: &str) -> Result<()> {
        let _alone = self.garbage.write().await;
        self.remove_half_written(namespace).await?;
        let rows = prefix(namespace);
        let mut keep = self.leases.of(namespace);
        let images = self.store.query(move |reader| reader.list::<Images>(&rows)).await?;
        keep.extend(images.into_iter().flat_map(|(_, row)| row.chain));
        let collected = self.snapshots.gc(namespace, &keep).await?;
        if !collected.removed.is_empty() {
            tracing::debug!(namespace, layers = collected.removed.len(), "images: removed unused layers");
        }
        for (snapshot, error) in collected.failed {
            tracing::warn!(namespace, snapshot, %error, "images: remove an unused layer");
        }
        let documents = self.documents_in_use().await?;
        let (content, spools, unused_for) = (self.content.clone(), self.spools.clone(), self.config.resume_window);
        let cleaning = tokio::task::spawn_blocking(move || {
            content.keep_only(&documents)?;
            spools.sweep(unused_for)
        });
        cleaning.await.step(|| "images: remove unused documents".into())??;
        self.fs_info.invalidate().await;
        Ok(())
    }

    /// After a failed pull: what it had leased stays for so long, for whoever tries again. Where that is no time at
    /// all, everything goes now, parts of downloads too.
    pub async fn clean_up_after(self: &Arc<Self>, namespace: &str, lease: Option<Lease>, keep: Duration) {
        if keep.is_zero() {
            drop(lease);
            let spools = self.spools.clone();
            let swept = tokio::task::spawn_blocking(move || spools.sweep(Duration::ZERO)).await;
            if let Ok(Err(error)) = swept {
                tracing::warn!(%error, "images: clean up after a failed pull");
            }
        } else if let Some(lease) = lease {
            let (core, namespace) = (Arc::downgrade(self), namespace.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(keep).await;
                drop(lease);
                if let Some(core) = core.upgrade() {
                    core.collect_logged(&namespace).await;
                }
            });
        }
        self.collect_logged(namespace).await;
    }

    /// [`collect`](Self::collect) where nobody waits for the answer.
    pub async fn collect_logged(&self, namespace: &str) {
        if let Err(error) = self.collect(namespace).await {
            tracing::warn!(namespace, %error, "images: collect garbage");
        }
    }

    async fn remove_half_written(&self, namespace: &str) -> Result<()> {
        for info in self.snapshots.list(namespace).await? {
            if self.keys.is_left_over(&info.key) {
                match self.snapshots.remove(namespace, &info.key).await {
                    Err(error) if !error.is_not_found() => {
                        tracing::warn!(namespace, snapshot = info.key, %error, "remove a half-written layer");
                    }
                    _ => tracing::debug!(namespace, snapshot = info.key, "removed a half-written layer"),
                }
            }
        }
        Ok(())
    }

    /// The documents of all images of all namespaces.
    async fn documents_in_use(&self) -> Result<HashSet<String>> {
        let read = self.store.query(|reader| {
            let images = reader.list::<Images>("")?;
            let names = reader.list::<Names>("")?;
            let of_images = images.into_iter().flat_map(|(_, row)| [row.target, row.manifest, row.config]);
            let of_names = names.into_iter().map(|(_, row)| row.target);
            Ok(of_images.chain(of_names).map(|descriptor| descriptor.digest().to_string()).collect())
        });
        read.await
    }
}

/// Collects now and then, for as long as the images are open.
pub(crate) async fn now_and_then(core: Weak<Core>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(core) = core.upgrade() else { return };
        match core.namespaces().await {
            Ok(namespaces) => {
                for namespace in namespaces {
                    core.collect_logged(&namespace).await;
                }
            }
            Err(error) => tracing::warn!(%error, "images: collect garbage"),
        }
    }
}
