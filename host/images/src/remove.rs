use wharf_crash_points::point;
use wharf_error::Result;
use wharf_store::key;

use crate::{
    book::{Entry, Images, Names},
    core::Core,
};

// === impl Core ===

impl Core {
    pub async fn remove(&self, namespace: &str, reference: &str) -> Result<()> {
        let Some(entry) = self.book(namespace).await?.find(reference)? else { return Ok(()) };
        self.drop_rows(namespace, std::slice::from_ref(&entry)).await?;
        point!("images.remove.rows");
        self.collect(namespace).await
    }

    /// Removes the rows of images: all their names, in one step.
    pub async fn drop_rows(&self, namespace: &str, entries: &[Entry]) -> Result<()> {
        let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        let images: Vec<String> = ids.iter().map(|id| key(namespace, id)).collect();
        let (gone, rows) = (ids.clone(), wharf_store::prefix(namespace));
        self.store
            .durable(move |writer| {
                // Read here, not before: a name that was given meanwhile goes too.
                for (name, row) in writer.list::<Names>(&rows)? {
                    if gone.contains(&row.image) {
                        writer.delete::<Names>(&name)?;
                    }
                }
                for image in &images {
                    writer.delete::<Images>(image)?;
                }
                Ok(())
            })
            .await?;
        self.forget(&ids);
        Ok(())
    }
}
