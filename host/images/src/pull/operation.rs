use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use wharf_crash_points::point;
use wharf_error::{Kind, Result, ResultExt as _};
use wharf_registry::{Auth, Reference};
use wharf_steps::step;

use super::select::select;
use crate::{
    Image,
    core::Core,
    extract::{Repository, Source, extract},
    leases::Lease,
    progress::Reporter,
    scratch::{Scratch, cancelled},
};

/// One pull from beginning to end. Returns when all that it began has ended: after a failure nothing half-made is left,
/// and what is good is kept for the next try, unless it is room that was lacking.
pub(super) async fn run(
    core: &Arc<Core>,
    namespace: &str,
    reference: &Reference,
    auth: Option<&Auth>,
    progress: &Reporter,
    cancel: CancellationToken,
) -> Result<Image> {
    let scratch = Scratch::new(core, namespace, cancel.clone());
    let mut lease = None;
    let work = pull(core, namespace, reference, auth, progress, &scratch, &mut lease);
    let result = cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(cancelled()));
    scratch.finish().await;
    if let Err(error) = &result {
        let keep = if error.kind() == Kind::Exhausted { Duration::ZERO } else { core.config.resume_window };
        core.clean_up_after(namespace, lease, keep).await;
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
    lease: &mut Option<Lease>,
) -> Result<Image> {
    core.enter(namespace).await?;
    if let Some(image) = up_to_date(core, namespace, reference, auth).await? {
        return Ok(image);
    }
    let selected = select(core, reference, auth).await?;
    progress.layers(selected.layers.iter().map(|l| (l.descriptor.digest().to_string(), l.descriptor.size())));
    // Held before anything is looked up, so that what is found stays.
    let not_collecting = step(|| "wait for unused layers to be removed".into(), core.garbage.read()).await;
    let chain = selected.layers.iter().map(|layer| layer.chain_id.clone());
    *lease = Some(core.leases.hold(namespace, chain.collect()));
    drop(not_collecting);
    let from = Repository { client: core.client.clone(), reference: reference.clone(), auth: auth.cloned() };
    point!("images.pull.selected");
    let layers = progress.subscribe();
    let extracting = extract(core, namespace, &selected, Source::Registry(Box::new(from)), progress, scratch);
    step(move || layers.borrow().to_string(), extracting).await?;
    point!("images.pull.extracted");
    let digest_name = reference.at(selected.target.digest());
    let names = match reference.digest() {
        Some(_) => vec![digest_name],
        None => vec![reference.clone(), digest_name],
    };
    core.record(namespace, &selected, &names).await
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
