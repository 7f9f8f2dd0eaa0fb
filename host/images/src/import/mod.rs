//! Images from archives: an OCI layout, as a folder or in a tar archive, or what `docker save` writes.

mod archive;
mod docker;
mod files;
mod layout;
mod tar_index;

use std::{path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use wharf_error::{Error, Result, ResultExt as _};
use wharf_registry::Reference;

pub(crate) use self::archive::Archive;
use self::files::{Files, Room};
use crate::{
    Image,
    core::Core,
    extract::{Source, extract},
    leases::Lease,
    progress::Reporter,
    scratch::{Scratch, cancelled},
    selected::Selected,
};

/// One image of an archive.
struct Found {
    names: Vec<Reference>,
    /// Whether its target's digest is what a registry would call it too.
    has_digest: bool,
    selected: Selected,
    archive: Archive,
}

/// Imports all images of an archive, which errors do not name: its user knows it by another name, or none. When the caller
/// goes away the work ends, on a task of its own that clears up.
pub(crate) async fn run(core: &Arc<Core>, namespace: &str, path: &Path, name: Option<&str>) -> Result<Vec<Image>> {
    let name = name.map(str::parse::<Reference>).transpose()?;
    if name.as_ref().is_some_and(|name| name.digest().is_some()) {
        return Err(Error::invalid("an image cannot be given a digest as its name"));
    }
    let (core, namespace, path) = (core.clone(), namespace.to_owned(), path.to_owned());
    let cancel = CancellationToken::new();
    let _with_the_caller = cancel.clone().drop_guard();
    let work = async move { import(&core, &namespace, &path, name, cancel).await };
    tokio::spawn(work.in_current_span()).await.step(|| "import: it ended early".into())?
}

async fn import(
    core: &Arc<Core>,
    namespace: &str,
    path: &Path,
    name: Option<Reference>,
    cancel: CancellationToken,
) -> Result<Vec<Image>> {
    let (reader, path, ends) = (core.clone(), path.to_owned(), cancel.clone());
    let found = tokio::task::spawn_blocking(move || {
        let room = Room { folder: reader.content.ingest(), most: reader.config.max_image_bytes, cancel: &ends };
        let files = Arc::new(Files::open(&path, &room)?);
        read(&reader, &files)
    });
    let found = named(found.await.step(|| "read the archive".into())??, name)?;
    core.enter(namespace).await?;
    let scratch = Scratch::new(core, namespace, cancel.clone());
    let work = unpack(core, namespace, found, &scratch);
    let ready = cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(cancelled()));
    scratch.finish().await;
    let result = match ready {
        Ok((ready, lease)) => {
            // Not to be ended early.
            let recorded = core.record_all(namespace, &ready).await;
            drop(lease);
            recorded
        }
        Err(error) => Err(error),
    };
    if result.is_err() {
        core.collect_logged(namespace).await;
    }
    result
}

/// Unpacks the layers of all images; they stay as long as the lease does.
async fn unpack(
    core: &Arc<Core>,
    namespace: &str,
    found: Vec<Found>,
    scratch: &Scratch,
) -> Result<(Vec<(Selected, Vec<Reference>)>, Lease)> {
    let chain = |found: &Found| found.selected.layers.iter().map(|layer| layer.chain_id.clone()).collect::<Vec<_>>();
    let lease = {
        let _not_collecting = core.garbage.read().await;
        core.leases.hold(namespace, found.iter().flat_map(chain).collect())
    };
    let mut ready = Vec::with_capacity(found.len());
    for Found { mut names, has_digest, selected, archive } in found {
        let source = Source::Archive(Arc::new(archive));
        extract(core, namespace, &selected, source, &Reporter::new(), scratch)
            .await
            .step(|| names.first().map(ToString::to_string).unwrap_or_default())?;
        if has_digest {
            let digests: Vec<Reference> = names.iter().map(|name| name.at(selected.target.digest())).collect();
            names.extend(digests);
        }
        ready.push((selected, names));
    }
    Ok((ready, lease))
}

fn read(core: &Core, files: &Arc<Files>) -> Result<Vec<Found>> {
    // Newer versions of `docker save` write both; the layout tells more.
    if files.has(layout::INDEX) {
        return layout::read(&core.host, files);
    }
    if files.has(docker::MANIFEST) {
        return docker::read(&core.host, files);
    }
    Err(Error::invalid("neither an OCI layout nor a docker save archive: it has no index.json and no manifest.json"))
}

/// Sees to it that each image has a name, one that is given before its own.
fn named(mut found: Vec<Found>, name: Option<Reference>) -> Result<Vec<Found>> {
    if let Some(name) = name {
        let [only] = found.as_mut_slice() else {
            return Err(Error::invalid(format!(
                "the archive holds {} images, so {name} cannot be its name",
                found.len()
            )));
        };
        only.names = vec![name];
    }
    match found.iter().find(|found| found.names.is_empty()) {
        None => Ok(found),
        Some(unnamed) => {
            let text = format!("the archive has no name for the image {}", unnamed.selected.id());
            Err(Error::invalid(text).hint("give it one"))
        }
    }
}
