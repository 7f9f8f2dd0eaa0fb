use std::sync::Arc;

use bytes::Bytes;
use oci_spec::image::Digest;
use wharf_error::{Error, Result, ResultExt as _};
use wharf_registry::{Auth, Document, Reference};

use crate::{
    core::Core,
    selected::{Selected, check_config_type, check_size},
};

/// Indexes that may stand in one another before a real image comes.
const MAX_DEPTH: usize = 3;

/// Resolves a reference to the image for this platform. Documents that are here already are not fetched again, but
/// the registry is always asked for the first one.
pub(super) async fn select(core: &Arc<Core>, reference: &Reference, auth: Option<&Auth>) -> Result<Selected> {
    let resolved = core.client.resolve(reference, auth).await?;
    let target = resolved.descriptor.clone();
    let mut documents = vec![(target.digest().clone(), resolved.bytes.clone())];
    let (mut descriptor, mut bytes) = (resolved.descriptor, resolved.bytes);
    for _ in 0..=MAX_DEPTH {
        let document = Document::parse(descriptor.media_type().as_ref(), &bytes)
            .step(|| format!("manifest {}", descriptor.digest()))?;
        match document {
            Document::Index(index) => {
                descriptor = core.host.choose(index.manifests())?.clone();
                bytes = match local(core, descriptor.digest()).await {
                    Some(bytes) => bytes,
                    None => core.client.manifest(reference, &descriptor, auth).await?,
                };
                check_size(&descriptor, &bytes)?;
                documents.push((descriptor.digest().clone(), bytes.clone()));
            }
            Document::Manifest(manifest) => {
                check_config_type(&manifest)?;
                let config = match local(core, manifest.config().digest()).await {
                    Some(config) => config,
                    None => core.client.small_blob(reference, manifest.config(), auth).await?,
                };
                check_size(manifest.config(), &config)?;
                return Selected::new(&core.host, target, (descriptor, &manifest), config, documents);
            }
        }
    }
    Err(Error::invalid(format!("more than {MAX_DEPTH} indexes stand in one another")))
}

/// A document that is here. One that is damaged is fetched again.
async fn local(core: &Arc<Core>, digest: &Digest) -> Option<Bytes> {
    let (content, digest) = (core.content.clone(), digest.clone());
    tokio::task::spawn_blocking(move || content.get(&digest)).await.ok()?.ok()?
}
