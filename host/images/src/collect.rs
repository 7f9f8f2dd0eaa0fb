use std::collections::HashSet;

use wharf_error::{Result, ResultExt as _};
use wharf_store::prefix;

use crate::{
    book::{Images, Names},
    core::Core,
};

// === impl Core ===

impl Core {
    /// Removes layers and documents that nothing needs. Pulls that begin meanwhile wait, so that none finds a layer
    /// that is gone a moment later.
    pub async fn collect(&self, namespace: &str) -> Result<()> {
        let _alone = self.garbage.write().await;
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
        let content = self.content.clone();
        let cleaning = tokio::task::spawn_blocking(move || content.keep_only(&documents));
        cleaning.await.step(|| "images: remove unused documents".into())??;
        self.fs_info.invalidate().await;
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
