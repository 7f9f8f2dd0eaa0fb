use std::sync::Arc;

use wharf_error::{Result, ResultExt as _};
use wharf_registry::Reference;
use wharf_store::key;

use crate::{
    Image,
    book::{ImageRow, Images, NameRow, Names},
    core::Core,
    fs_info::now,
    selected::Selected,
};

// === impl Core ===

impl Core {
    /// Records an image, all of whose layers are committed and leased, under these names: documents first, then all
    /// rows in one step.
    pub async fn record(self: &Arc<Self>, namespace: &str, selected: &Selected, names: &[Reference]) -> Result<Image> {
        let mut size: u64 = selected.documents.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        for layer in &selected.layers {
            size += self.snapshots.usage(namespace, &layer.chain_id).await?.bytes;
        }
        // From here to the rows no collection may take the documents.
        let not_collecting = self.garbage.read().await;
        let (content, documents) = (self.content.clone(), selected.documents.clone());
        let writing = tokio::task::spawn_blocking(move || {
            documents.iter().try_for_each(|(digest, bytes)| content.put(digest, bytes))
        });
        writing.await.step(|| "images: keep the documents".into())??;
        let image = ImageRow {
            target: selected.target.clone(),
            manifest: selected.manifest.clone(),
            config: selected.config.clone(),
            chain: selected.layers.iter().map(|layer| layer.chain_id.clone()).collect(),
            size,
            created: now(),
        };
        let id = selected.id().to_owned();
        let name = NameRow { target: selected.target.clone(), image: id.clone(), updated: now() };
        let names: Vec<String> = names.iter().map(|name| key(namespace, &name.to_string())).collect();
        let row = key(namespace, &id);
        self.store
            .durable(move |writer| {
                let created = writer.get::<Images>(&row)?.map_or(image.created, |before| before.created);
                writer.put::<Images>(&row, &ImageRow { created, ..image })?;
                names.iter().try_for_each(|key| writer.put::<Names>(key, &name))
            })
            .await?;
        drop(not_collecting);
        self.fs_info.invalidate().await;
        let entry = self.book(namespace).await?.find(&id)?;
        let image = self.assemble(entry.into_iter().collect()).await?.pop();
        image.ok_or_else(|| wharf_error::Error::not_found("image", &id).hint("it was removed at the same moment"))
    }
}
