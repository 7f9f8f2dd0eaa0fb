use oci_spec::image::{ImageIndex, ImageManifest};
use serde::Deserialize;
use wharf_error::{Error, Kind, Result, ResultExt as _};

/// The media types of manifests that are asked for and understood.
pub mod media_types {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A Docker schema 2 manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker schema 2 manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
}

/// The size that no manifest, index or image configuration may exceed: 4 MiB.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// More entries than any real index or manifest has; a bound on what a small document can make us do.
const MAX_ENTRIES: usize = 1024;

/// What a reference resolves to: one image, or a choice of images by platform.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A choice by platform.
    Index(Box<ImageIndex>),
    /// One image: its configuration and layers.
    Manifest(Box<ImageManifest>),
}

/// Only what tells the kinds apart, read before either is trusted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

// === impl Document ===

impl Document {
    /// Reads a document that was announced as `media_type`. Its bytes must have been verified before.
    ///
    /// # Errors
    /// `Unsupported` for Docker schema 1 and for types that are no image; `InvalidArgument` for a document that
    /// could be read as index and as manifest at once (one digest, two meanings), or that contradicts its type.
    pub fn parse(media_type: &str, bytes: &[u8]) -> Result<Self> {
        let shape: Shape =
            serde_json::from_slice(bytes).step_as(Kind::InvalidArgument, || "read the manifest's JSON".into())?;
        if shape.schema_version == 1
            || shape.fs_layers.is_some()
            || media_type.starts_with("application/vnd.docker.distribution.manifest.v1")
        {
            let error = Error::new(Kind::Unsupported, "the manifest is of Docker schema 1, which is not supported");
            return Err(error.hint("push the image again with a current tool"));
        }
        if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
            return Err(Error::invalid("the document has both manifests and layers: it is refused as ambiguous"));
        }
        if let Some(own) = shape.media_type.as_deref().filter(|own| is_manifest_type(media_type) && *own != media_type)
        {
            return Err(Error::invalid(format!("the manifest calls itself {own}, but was served as {media_type}")));
        }
        match shape.media_type.as_deref().unwrap_or(media_type) {
            media_types::OCI_INDEX | media_types::DOCKER_LIST => Self::index(bytes),
            media_types::OCI_MANIFEST | media_types::DOCKER_MANIFEST => Self::manifest(bytes),
            // Registries that know no better serve manifests as plain JSON or text: the shape decides.
            _ if shape.media_type.is_none() && shape.manifests.is_some() => Self::index(bytes),
            _ if shape.media_type.is_none() && shape.layers.is_some() => Self::manifest(bytes),
            other => Err(Error::new(Kind::Unsupported, format!("media type {other} is no container image"))),
        }
    }

    /// The media type that a document of this kind has when nothing else is known of it.
    pub fn media_type(&self) -> &str {
        let own = match self {
            Self::Index(index) => index.media_type(),
            Self::Manifest(manifest) => manifest.media_type(),
        };
        match (own, self) {
            (Some(own), _) => own.as_ref(),
            (None, Self::Index(_)) => media_types::OCI_INDEX,
            (None, Self::Manifest(_)) => media_types::OCI_MANIFEST,
        }
    }

    fn index(bytes: &[u8]) -> Result<Self> {
        let index: ImageIndex =
            serde_json::from_slice(bytes).step_as(Kind::InvalidArgument, || "read the image index".into())?;
        bounded(index.manifests().len(), "manifests")?;
        Ok(Self::Index(Box::new(index)))
    }

    fn manifest(bytes: &[u8]) -> Result<Self> {
        let manifest: ImageManifest =
            serde_json::from_slice(bytes).step_as(Kind::InvalidArgument, || "read the image manifest".into())?;
        bounded(manifest.layers().len(), "layers")?;
        Ok(Self::Manifest(Box::new(manifest)))
    }
}

fn bounded(count: usize, what: &str) -> Result<()> {
    if count <= MAX_ENTRIES {
        return Ok(());
    }
    Err(Error::invalid(format!("the document has {count} {what}, more than the {MAX_ENTRIES} that are allowed")))
}

pub(crate) fn is_manifest_type(media_type: &str) -> bool {
    use media_types::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
    [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].contains(&media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{D}","size":2}}"#)
    }

    #[test]
    fn a_manifest_and_an_index_are_told_apart_also_without_a_type() {
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar");
        let config = descriptor("application/vnd.oci.image.config.v1+json");
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
        for media_type in [media_types::OCI_MANIFEST, media_types::DOCKER_MANIFEST, "application/json", ""] {
            let document = Document::parse(media_type, manifest.as_bytes()).unwrap();
            assert!(matches!(&document, Document::Manifest(m) if m.layers().len() == 1), "{media_type}");
        }
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor(media_types::OCI_MANIFEST));
        assert!(matches!(Document::parse("text/plain", index.as_bytes()).unwrap(), Document::Index(_)));
    }

    #[test]
    fn one_document_with_two_meanings_is_refused() {
        let both = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
        for media_type in [media_types::OCI_MANIFEST, media_types::OCI_INDEX] {
            let error = Document::parse(media_type, both.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("ambiguous"), "{error}");
        }
        let lies = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media_types::OCI_INDEX);
        assert!(Document::parse(media_types::OCI_MANIFEST, lies.as_bytes()).is_err());
        let twice = r#"{"schemaVersion":2,"layers":[],"layers":[]}"#;
        assert!(Document::parse(media_types::OCI_MANIFEST, twice.as_bytes()).is_err(), "a key given twice");
    }

    #[test]
    fn schema_1_is_refused_by_name() {
        let old = r#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[]}"#;
        let error = Document::parse("application/vnd.docker.distribution.manifest.v1+prettyjws", old.as_bytes());
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("schema 1"), "{error}");
    }

    #[test]
    fn an_artifact_type_is_no_image() {
        let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]}"#;
        let error = Document::parse("application/vnd.oci.artifact.manifest.v1+json", text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
    }

    #[test]
    fn an_endless_list_is_refused() {
        let entries = vec![descriptor(media_types::OCI_MANIFEST); MAX_ENTRIES + 1].join(",");
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        assert!(Document::parse(media_types::OCI_INDEX, index.as_bytes()).is_err());
    }
}
