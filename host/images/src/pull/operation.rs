use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wharf_error::{Result, ResultExt as _};
use wharf_registry::{Auth, Reference};

use super::select::select;
use crate::{
    Image,
    core::Core,
    extract::{Repository, Source, extract},
    progress::Reporter,
    scratch::{Scratch, cancelled},
};

/// One pull from beginning to end. Returns when all that it began has ended: after a failure nothing is left.
pub(super) async fn run(
    core: &Arc<Core>,
    namespace: &str,
    reference: &Reference,
    auth: Option<&Auth>,
    progress: &Reporter,
    cancel: CancellationToken,
) -> Result<Image> {
    let scratch = Scratch::new(core.snapshots.clone(), namespace, cancel.clone());
    let work = pull(core, namespace, reference, auth, progress, &scratch);
    let result = cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(cancelled()));
    scratch.finish().await;
    if result.is_err() {
        // Layers that it had committed are nobody's now.
        if let Err(error) = core.collect(namespace).await {
            tracing::warn!(%error, "images: clean up after a failed pull");
        }
    }
    result.step(|| format!("pull {reference}"))
}

async fn pull(
    core: &Arc<Core>,
    namespace: &str,
    reference: &Reference,
    auth: Option<&Auth>,
    progress: &Reporter,
    scratch: &Scratch,
) -> Result<Image> {
    core.enter(namespace).await?;
    if let Some(image) = up_to_date(core, namespace, reference, auth).await? {
        return Ok(image);
    }
    let selected = select(core, reference, auth).await?;
    progress.layers(selected.layers.iter().map(|l| (l.descriptor.digest().to_string(), l.descriptor.size())));
    // Held before anything is looked up, so that what is found stays.
    let lease = {
        let _not_collecting = core.garbage.read().await;
        core.leases.hold(namespace, selected.layers.iter().map(|layer| layer.chain_id.clone()).collect())
    };
    let from = Repository { client: core.client.clone(), reference: reference.clone(), auth: auth.cloned() };
    extract(core, namespace, &selected, Source::Registry(Box::new(from)), progress, scratch).await?;
    let digest_name = reference.at(selected.target.digest());
    let names = match reference.digest() {
        Some(_) => vec![digest_name],
        None => vec![reference.clone(), digest_name],
    };
    let image = core.record(namespace, &selected, &names).await?;
    drop(lease);
    Ok(image)
}

/// The image that is here, where the registry says that its name still points to it: one head request, which
/// registries that limit pulls do not count. It asks with the caller's credentials, so who may not pull is refused.
async fn up_to_date(
    core: &Arc<Core>,
    namespace: &str,
    reference: &Reference,
    auth: Option<&Auth>,
) -> Result<Option<Image>> {
    let name = match reference.digest() {
        Some(digest) => reference.at(digest).to_string(),
        None => reference.to_string(),
    };
    let Some(entry) = core.book(namespace).await?.find(&name)? else { return Ok(None) };
    let Some((_, row)) = entry.names.iter().find(|(known, _)| *known == name) else { return Ok(None) };
    for chain_id in &entry.row.chain {
        if !core.has_layer(namespace, chain_id).await? {
            return Ok(None);
        }
    }
    match core.client.head(reference, auth).await {
        Ok(Some(digest)) if digest == *row.target.digest() => Ok(core.assemble(vec![entry]).await?.pop()),
        // Where it fails, the whole request does so too, and says why.
        Ok(_) | Err(_) => Ok(None),
    }
}
