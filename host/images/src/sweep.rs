use std::sync::Arc;

use wharf_error::Result;

use crate::{book::Entry, core::Core, scratch::is_left_over};

/// Drops the rows of images that are not whole: a layer that did not reach the disk before the power went, or a
/// document that is damaged. Whoever needs them pulls them again.
pub(crate) async fn drop_broken(core: &Arc<Core>) -> Result<()> {
    for namespace in core.namespaces().await? {
        let mut broken = Vec::new();
        for entry in core.book(&namespace).await?.entries() {
            if let Some(why) = fault(core, &namespace, &entry).await? {
                tracing::warn!(namespace, image = entry.id, "the image is dropped: {why}");
                broken.push(entry);
            }
        }
        if !broken.is_empty() {
            core.drop_rows(&namespace, &broken).await?;
        }
    }
    Ok(())
}

/// Removes the half-written snapshots of a killed daemon, and the layers that its pulls had committed.
pub(crate) async fn left_overs(core: &Arc<Core>) -> Result<()> {
    for namespace in core.namespaces().await? {
        for info in core.snapshots.list(&namespace).await? {
            if is_left_over(&info.key) {
                match core.snapshots.remove(&namespace, &info.key).await {
                    Err(error) if !error.is_not_found() => {
                        tracing::warn!(namespace, snapshot = info.key, %error, "remove a half-written layer");
                    }
                    _ => tracing::debug!(namespace, snapshot = info.key, "removed a half-written layer"),
                }
            }
        }
        core.collect(&namespace).await?;
    }
    Ok(())
}

async fn fault(core: &Arc<Core>, namespace: &str, entry: &Entry) -> Result<Option<String>> {
    for chain_id in &entry.row.chain {
        if !core.has_layer(namespace, chain_id).await? {
            return Ok(Some(format!("its layer {chain_id} is gone")));
        }
    }
    match core.assemble(vec![entry.clone()]).await {
        Ok(_) => Ok(None),
        Err(error) => Ok(Some(error.to_string())),
    }
}
