use bytes::Bytes;
use oci_spec::image::{Descriptor, Digest, ImageConfiguration, ImageManifest};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_layers::Compression;
use wharf_registry::check_algorithm;

use crate::{chain::chain_ids, platform::Host};

/// One image chosen of what a reference points to, all of it verified but its layers.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub target: Descriptor,
    pub manifest: Descriptor,
    pub config: Descriptor,
    pub layers: Vec<Layer>,
    /// The documents to keep: index, manifest, configuration.
    pub documents: Vec<(Digest, Bytes)>,
}

/// A layer as manifest and configuration describe it.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub index: usize,
    pub descriptor: Descriptor,
    pub compression: Compression,
    pub diff_id: String,
    pub chain_id: String,
    /// The chain ID of the layer below.
    pub parent: Option<String>,
}

// === impl Selected ===

impl Selected {
    /// Puts manifest and configuration together. `documents` are those that led to the manifest.
    ///
    /// # Errors
    /// `Unsupported` for layers that cannot be had or unpacked and for what is no container image, `NotFound` for
    /// another platform, `InvalidArgument` where manifest and configuration do not agree.
    pub fn new(
        host: &Host,
        target: Descriptor,
        manifest: (Descriptor, &ImageManifest),
        config: Bytes,
        mut documents: Vec<(Digest, Bytes)>,
    ) -> Result<Self> {
        let (descriptor, manifest) = manifest;
        let configuration: ImageConfiguration = serde_json::from_slice(&config)
            .step_as(Kind::InvalidArgument, || format!("read the configuration {}", manifest.config().digest()))?;
        host.check(configuration.os(), configuration.architecture())?;
        let diff_ids = diff_ids(&configuration)?;
        if diff_ids.len() != manifest.layers().len() {
            let text =
                format!("the manifest has {} layers, the configuration {}", manifest.layers().len(), diff_ids.len());
            return Err(Error::invalid(text));
        }
        let chain = chain_ids(&diff_ids)?;
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (index, (descriptor, diff_id)) in manifest.layers().iter().zip(&diff_ids).enumerate() {
            let media_type = descriptor.media_type().as_ref();
            check_algorithm(descriptor.digest()).step(|| format!("layer {}", descriptor.digest()))?;
            layers.push(Layer {
                index,
                descriptor: descriptor.clone(),
                compression: compression(media_type).step(|| format!("layer {}", descriptor.digest()))?,
                diff_id: diff_id.to_string(),
                chain_id: chain[index].clone(),
                parent: index.checked_sub(1).map(|below| chain[below].clone()),
            });
        }
        documents.push((manifest.config().digest().clone(), config));
        Ok(Self { target, manifest: descriptor, config: manifest.config().clone(), layers, documents })
    }

    /// The image's id.
    pub fn id(&self) -> &str {
        self.config.digest().as_ref()
    }
}

/// Refuses what is no container image before its configuration is fetched.
///
/// Old registries wrote other types for the configuration (distribution#1621); what it is decides what is in it then.
///
/// # Errors
/// `Unsupported` naming the type.
pub(crate) fn check_config_type(manifest: &ImageManifest) -> Result<()> {
    match manifest.config().media_type().as_ref() {
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => Ok(()),
        "" | "application/octet-stream" | "application/json" | "text/html" | "text/plain"
            if manifest.artifact_type().is_none() =>
        {
            Ok(())
        }
        other => {
            let artifact = manifest.artifact_type().as_ref().map_or(other, AsRef::as_ref);
            Err(Error::new(Kind::Unsupported, format!("{artifact} is no container image")))
        }
    }
}

/// A document that is not as long as its descriptor says is not what the descriptor's author meant, whatever its digest.
///
/// # Errors
/// `DataLoss` with both sizes.
pub(crate) fn check_size(descriptor: &Descriptor, bytes: &Bytes) -> Result<()> {
    if descriptor.size() == bytes.len() as u64 {
        return Ok(());
    }
    let (digest, found, said) = (descriptor.digest(), bytes.len(), descriptor.size());
    Err(Error::new(Kind::DataLoss, format!("document {digest}: it has {found} bytes, its descriptor says {said}")))
}

fn diff_ids(configuration: &ImageConfiguration) -> Result<Vec<Digest>> {
    let parse = |text: &String| {
        let digest: Digest = text.parse().step_as(Kind::InvalidArgument, || format!("diffID {text:?}"))?;
        check_algorithm(&digest)?;
        Ok(digest)
    };
    configuration.rootfs().diff_ids().iter().map(parse).collect()
}

/// A layer that must not be distributed is not in the registry, and nobody is asked for it elsewhere.
fn compression(media_type: &str) -> Result<Compression> {
    if media_type.contains(".nondistributable.") || media_type.contains(".foreign.") {
        let text = format!("media type {media_type} is of a layer that the registry does not distribute");
        return Err(Error::new(Kind::Unsupported, text));
    }
    Compression::of_media_type(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_are_elsewhere_or_no_layers_are_refused_by_name() {
        for (media_type, part) in [
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "does not distribute"),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "does not distribute"),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "not supported"),
            ("application/vnd.in-toto+json", "not supported"),
        ] {
            let error = compression(media_type).unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported);
            assert!(error.to_string().contains(part) && error.to_string().contains(media_type), "{error}");
        }
        assert_eq!(compression("application/vnd.docker.image.rootfs.diff.tar.gzip").unwrap(), Compression::Gzip);
    }
}
