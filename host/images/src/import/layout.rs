use std::sync::Arc;

use bytes::Bytes;
use oci_spec::image::{Descriptor, Digest};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_registry::{Document, Reference, media_types, path_of, verify};

use super::{
    Found,
    archive::{Archive, Layers},
    files::Files,
};
use crate::{
    platform::Host,
    selected::{Selected, check_config_type, check_size},
};

/// The file that makes a folder or an archive an OCI layout.
pub(super) const INDEX: &str = "index.json";

const CONTAINERD_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const MAX_DEPTH: usize = 3;

/// The images of a layout that run here.
///
/// # Errors
/// `NotFound` saying for what platforms they are, where none does.
pub(super) fn read(host: &Host, files: &Arc<Files>) -> Result<Vec<Found>> {
    let index = files.document(INDEX)?;
    let Document::Index(index) = Document::parse(media_types::OCI_INDEX, &index).step(|| INDEX.to_owned())? else {
        return Err(Error::invalid(format!("{INDEX} is no index")));
    };
    let mut found: Vec<Found> = Vec::new();
    let mut foreign = Vec::new();
    for entry in index.manifests() {
        match image(host, files, entry) {
            Ok(image) => found.push(image),
            Err(error) if error.kind() == Kind::NotFound => foreign.push(error.to_string()),
            Err(error) => return Err(error).step(|| format!("image {}", entry.digest())),
        }
    }
    if found.is_empty() {
        let why = if foreign.is_empty() { "it is empty".to_owned() } else { foreign.join("; ") };
        return Err(Error::new(Kind::NotFound, format!("the layout has no image for this node: {why}")));
    }
    Ok(merged(found))
}

fn image(host: &Host, files: &Arc<Files>, entry: &Descriptor) -> Result<Found> {
    let mut documents = Vec::new();
    let mut descriptor = entry.clone();
    if entry.platform().is_some() {
        host.choose(std::slice::from_ref(entry))?;
    }
    for _ in 0..=MAX_DEPTH {
        let bytes = blob(files, descriptor.digest())?;
        check_size(&descriptor, &bytes)?;
        documents.push((descriptor.digest().clone(), bytes.clone()));
        match Document::parse(descriptor.media_type().as_ref(), &bytes)? {
            Document::Index(index) => descriptor = host.choose(index.manifests())?.clone(),
            Document::Manifest(manifest) => {
                check_config_type(&manifest)?;
                let config = blob(files, manifest.config().digest())?;
                check_size(manifest.config(), &config)?;
                let selected = Selected::new(host, entry.clone(), (descriptor, &manifest), config, documents)?;
                let archive = Archive { files: files.clone(), layers: Layers::Blobs };
                return Ok(Found { names: names(entry)?, has_digest: true, selected, archive });
            }
        }
    }
    Err(Error::invalid(format!("more than {MAX_DEPTH} indexes stand in one another")))
}

/// The name that containerd and Docker write, or else what others write where it is a whole name: skopeo and
/// buildah put a bare tag there.
fn names(entry: &Descriptor) -> Result<Vec<Reference>> {
    let Some(annotations) = entry.annotations() else { return Ok(Vec::new()) };
    let reference_name = annotations.get(REF_NAME).filter(|name| name.contains(['/', ':']));
    let name = annotations.get(CONTAINERD_NAME).or(reference_name);
    let reference = name.map(|name| name.parse::<Reference>()).transpose()?;
    match reference {
        Some(reference) if reference.tag().is_none() => Ok(Vec::new()),
        other => Ok(other.into_iter().collect()),
    }
}

/// An index with one entry for each name of an image lists the same image many times.
fn merged(found: Vec<Found>) -> Vec<Found> {
    let mut images: Vec<Found> = Vec::new();
    for image in found {
        match images.iter_mut().find(|before| before.selected.target.digest() == image.selected.target.digest()) {
            Some(before) => before.names.extend(image.names),
            None => images.push(image),
        }
    }
    images
}

fn blob(files: &Files, digest: &Digest) -> Result<Bytes> {
    let name = format!("blobs/{}", path_of(digest)?);
    let bytes = files.document(&name)?;
    verify(&name, &bytes, digest)?;
    Ok(bytes)
}
