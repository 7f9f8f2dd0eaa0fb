use std::{collections::HashSet, sync::Arc};

use wharf_error::Result;
use wharf_snapshots::Info;

use crate::{book::Entry, core::Core};

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

/// Removes what a killed daemon left half-written. The layers that its pulls had committed and no image has yet, and the
/// parts that they had downloaded, are kept for a while: who pulled comes again.
pub(crate) async fn left_overs(core: &Arc<Core>) -> Result<()> {
    for namespace in core.namespaces().await? {
        let not_collecting = core.garbage.read().await;
        let entries = core.book(&namespace).await?.entries();
        let of_images: HashSet<&str> = entries.iter().flat_map(|entry| &entry.row.chain).map(String::as_str).collect();
        let committed =
            |info: &Info| info.kind == wharf_snapshots::Kind::Committed && !of_images.contains(info.key.as_str());
        let layers = core.snapshots.list(&namespace).await?.into_iter().filter(committed).map(|info| info.key);
        let lease = core.leases.hold(&namespace, layers.collect());
        drop(not_collecting);
        core.clean_up_after(&namespace, Some(lease), core.config.resume_window).await;
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
