use std::sync::Arc;

use bytes::Bytes;
use oci_spec::image::{Descriptor, ImageConfiguration, MediaType};
use serde::Deserialize;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_registry::{Document, Reference, digest_of, media_types};

use super::{
    Found,
    archive::{Archive, Layers},
    files::Files,
};
use crate::{platform::Host, selected::Selected};

/// The file that makes an archive one of `docker save`.
pub(super) const MANIFEST: &str = "manifest.json";

const MAX_IMAGES: usize = 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// All images of an archive. Their layers have no digests of their own, so a manifest is written for them whose
/// layers are the diffIDs: its digest is nothing that a registry knows.
pub(super) fn read(host: &Host, files: &Arc<Files>) -> Result<Vec<Found>> {
    let entries: Vec<Entry> = serde_json::from_slice(&files.document(MANIFEST)?)
        .step_as(Kind::InvalidArgument, || format!("read {MANIFEST}"))?;
    if entries.is_empty() || entries.len() > MAX_IMAGES {
        return Err(Error::invalid(format!("{MANIFEST} lists {} images", entries.len())));
    }
    entries.into_iter().map(|entry| image(host, files, entry)).collect()
}

fn image(host: &Host, files: &Arc<Files>, entry: Entry) -> Result<Found> {
    let config = files.document(&entry.config)?;
    let names = entry.repo_tags.unwrap_or_default();
    let names = names.iter().map(|name| name.parse::<Reference>()).collect::<Result<_>>()?;
    let (descriptor, bytes) = manifest(files, &config, &entry.layers).step(|| format!("image {}", entry.config))?;
    let Document::Manifest(manifest) = Document::parse(media_types::OCI_MANIFEST, &bytes)? else {
        return Err(Error::internal("the manifest of an archive reads as an index"));
    };
    let documents = vec![(descriptor.digest().clone(), bytes)];
    let selected = Selected::new(host, descriptor.clone(), (descriptor, &manifest), config, documents)?;
    let archive = Archive { files: files.clone(), layers: Layers::Paths(entry.layers) };
    Ok(Found { names, has_digest: false, selected, archive })
}

fn manifest(files: &Files, config: &Bytes, paths: &[String]) -> Result<(Descriptor, Bytes)> {
    let configuration: ImageConfiguration =
        serde_json::from_slice(config).step_as(Kind::InvalidArgument, || "read the configuration".into())?;
    let diff_ids = configuration.rootfs().diff_ids();
    if diff_ids.len() != paths.len() {
        let text = format!("{} layers in the archive, {} in the configuration", paths.len(), diff_ids.len());
        return Err(Error::invalid(text));
    }
    let mut layers = Vec::with_capacity(paths.len());
    for (path, diff_id) in paths.iter().zip(diff_ids) {
        layers.push(serde_json::json!({
            "mediaType": MediaType::ImageLayer.as_ref(), "digest": diff_id, "size": files.size(path)?,
        }));
    }
    let text = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_types::OCI_MANIFEST,
        "config": {
            "mediaType": MediaType::ImageConfig.as_ref(), "digest": digest_of(config)?.as_ref(), "size": config.len(),
        },
        "layers": layers,
    });
    let bytes = Bytes::from(text.to_string());
    Ok((Descriptor::new(MediaType::ImageManifest, bytes.len() as u64, digest_of(&bytes)?), bytes))
}
