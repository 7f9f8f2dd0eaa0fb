use std::sync::Arc;

use wharf_error::{Error, Result, ResultExt as _};
use wharf_registry::Reference;
use wharf_store::key;

use crate::{
    Image,
    book::{ImageRow, Images, NameRow, Names},
    core::Core,
    fs_info::now,
    selected::Selected,
};

/// The rows of one image.
struct Rows {
    image: (String, ImageRow),
    names: Vec<String>,
    name: NameRow,
}

// === impl Core ===

impl Core {
    /// Records an image, all of whose layers are committed and leased, under these names.
    pub async fn record(self: &Arc<Self>, namespace: &str, selected: &Selected, names: &[Reference]) -> Result<Image> {
        let image = self.record_all(namespace, &[(selected.clone(), names.to_vec())]).await?.pop();
        image.ok_or_else(|| Error::internal("images: one was recorded and none is there"))
    }

    /// Records several, all or none: documents first, then all rows in one step. The same image under names that come
    /// apart is one in the answer.
    pub async fn record_all(
        self: &Arc<Self>,
        namespace: &str,
        all: &[(Selected, Vec<Reference>)],
    ) -> Result<Vec<Image>> {
        let mut rows = Vec::with_capacity(all.len());
        for (selected, names) in all {
            rows.push(self.rows(namespace, selected, names).await?);
        }
        // From here to the rows no collection may take the documents.
        let not_collecting = self.garbage.read().await;
        let content = self.content.clone();
        let documents: Vec<_> = all.iter().flat_map(|(selected, _)| selected.documents.clone()).collect();
        let writing = tokio::task::spawn_blocking(move || {
            documents.iter().try_for_each(|(digest, bytes)| content.put(digest, bytes))
        });
        writing.await.step(|| "images: keep the documents".into())??;
        self.store
            .durable(move |writer| {
                for Rows { image: (row, image), names, name } in &rows {
                    let created = writer.get::<Images>(row)?.map_or(image.created, |before| before.created);
                    writer.put::<Images>(row, &ImageRow { created, ..image.clone() })?;
                    names.iter().try_for_each(|key| writer.put::<Names>(key, name))?;
                }
                Ok(())
            })
            .await?;
        drop(not_collecting);
        self.fs_info.invalidate().await;
        let mut ids: Vec<&str> = Vec::with_capacity(all.len());
        for (selected, _) in all {
            ids.retain(|id| *id != selected.id());
            ids.push(selected.id());
        }
        let book = self.book(namespace).await?;
        let gone = |id: &str| Error::not_found("image", id).hint("it was removed at the same moment");
        let entries = ids.into_iter().map(|id| book.find(id)?.ok_or_else(|| gone(id)));
        self.assemble(entries.collect::<Result<_>>()?).await
    }

    async fn rows(&self, namespace: &str, selected: &Selected, names: &[Reference]) -> Result<Rows> {
        let mut size: u64 = selected.documents.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        for layer in &selected.layers {
            size += self.snapshots.usage(namespace, &layer.chain_id).await?.bytes;
        }
        let image = ImageRow {
            target: selected.target.clone(),
            manifest: selected.manifest.clone(),
            config: selected.config.clone(),
            chain: selected.layers.iter().map(|layer| layer.chain_id.clone()).collect(),
            size,
            created: now(),
        };
        Ok(Rows {
            image: (key(namespace, selected.id()), image),
            names: names.iter().map(|name| key(namespace, &name.to_string())).collect(),
            name: NameRow { target: selected.target.clone(), image: selected.id().to_owned(), updated: now() },
        })
    }
}
