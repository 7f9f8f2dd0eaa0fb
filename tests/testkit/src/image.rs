use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use crate::{
    layer::{Compression, Layer},
    tree::{Node, Tree},
};

const CREATED: &str = "2024-01-01T00:00:00Z";

/// The form in which an image is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An OCI manifest.
    Oci,
    /// An OCI index whose first manifest is for another platform.
    OciIndex,
    /// A Docker schema 2 manifest.
    Docker,
    /// A Docker manifest list whose first manifest is for another platform.
    DockerList,
}

/// Bytes with their media type and digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// What the bytes are.
    pub media_type: String,
    /// `sha256:…`, or `sha512:…` after [`Image::by_sha512`].
    pub digest: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// An image: its blobs, and the one that a tag points to.
#[derive(Clone, Debug)]
pub struct Image {
    /// Manifest or index: what a tag names.
    pub target: Blob,
    /// Manifests below the target, when it is an index.
    pub manifests: Vec<Blob>,
    /// Configurations and layers.
    pub blobs: Vec<Blob>,
    /// Digest of the configuration for this machine: the image's id.
    pub id: String,
    config: Value,
    layers: Vec<Layer>,
}

/// `sha256:` and the digest in hexadecimal.
pub fn digest_of(bytes: &[u8]) -> String {
    digest_text(&Sha256::digest(bytes))
}

/// The digest that these are the bytes of.
pub(crate) fn digest_text(sha256: &[u8]) -> String {
    sha256.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}

/// This machine's architecture in OCI's words.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Blob {
    /// A blob of these bytes.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { media_type: media_type.to_owned(), digest: digest_of(&bytes), bytes }
    }

    fn json(media_type: &str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    /// The descriptor that points to it.
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

impl Image {
    /// Puts layers and the `config` part of a configuration (`Cmd`, `Env`, `User`, …) together.
    ///
    /// # Errors
    ///
    /// When the layer of the foreign platform cannot be packed.
    pub fn new(kind: Kind, layers: &[Layer], config: &Value) -> Result<Self> {
        let docker = matches!(kind, Kind::Docker | Kind::DockerList);
        let (manifest, full_config, mut blobs) = manifest(docker, architecture(), layers, config);
        let id = blobs[0].digest.clone();
        let index_type = match kind {
            Kind::Oci | Kind::Docker => {
                let layers = layers.to_vec();
                return Ok(Self { target: manifest, manifests: Vec::new(), blobs, id, config: full_config, layers });
            }
            Kind::OciIndex => "application/vnd.oci.image.index.v1+json",
            Kind::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
        };
        let mut foreign_tree = Tree::new();
        foreign_tree.file("not-for-this-machine", "nothing to run here\n");
        let foreign_layer = Layer::new("another platform", &foreign_tree, Compression::Gzip)?;
        let (foreign, _, foreign_blobs) = self::manifest(docker, "s390x", &[foreign_layer], &json!({}));
        let mut entries = Vec::new();
        for (manifest, arch) in [(&foreign, "s390x"), (&manifest, architecture())] {
            let mut descriptor = manifest.descriptor();
            descriptor["platform"] = json!({ "architecture": arch, "os": "linux" });
            entries.push(descriptor);
        }
        let target =
            Blob::json(index_type, &json!({ "schemaVersion": 2, "mediaType": index_type, "manifests": entries }));
        blobs.extend(foreign_blobs);
        Ok(Self { target, manifests: vec![foreign, manifest], blobs, id, config: full_config, layers: layers.to_vec() })
    }

    /// Writes an OCI layout as an archive, as `skopeo copy … oci-archive:` does.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_oci_archive(&self, path: &Path, name: &str) -> Result<()> {
        let mut tree = Tree::new();
        tree.file("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string());
        let mut entry = self.target.descriptor();
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name, "io.containerd.image.name": name });
        let index =
            json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry] });
        tree.file("index.json", index.to_string());
        for blob in self.all() {
            let file = format!("blobs/{}", blob.digest.replace(':', "/"));
            if !tree.has(&file) {
                tree.add(&file, Node::File(blob.bytes.clone()));
            }
        }
        write_archive(path, &tree)
    }

    /// Writes an archive as `docker save` does: a `manifest.json`, a configuration and a plain archive a layer.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or a layer is not a plain archive.
    pub fn write_docker_archive(&self, path: &Path, name: &str) -> Result<()> {
        let mut tree = Tree::new();
        let mut files = Vec::new();
        for (n, layer) in self.layers.iter().enumerate() {
            anyhow::ensure!(
                layer.compression == Compression::None,
                "docker save writes plain layers, {} is packed",
                layer.note
            );
            let file = format!("{n:02}/layer.tar");
            tree.file(&file, &layer.packed);
            files.push(file);
        }
        let config = format!("{}.json", self.id.trim_start_matches("sha256:"));
        tree.file(&config, self.config.to_string());
        tree.file("manifest.json", json!([{ "Config": config, "RepoTags": [name], "Layers": files }]).to_string());
        write_archive(path, &tree)
    }

    /// The same image with all documents and layers addressed by SHA-512. Of one that is an OCI manifest.
    #[must_use]
    pub fn by_sha512(mut self) -> Self {
        let digest = |bytes: &[u8]| {
            Sha512::digest(bytes).iter().fold(String::from("sha512:"), |text, byte| text + &format!("{byte:02x}"))
        };
        for blob in &mut self.blobs {
            blob.digest = digest(&blob.bytes);
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": self.target.media_type, "config": self.blobs[0].descriptor(),
            "layers": self.blobs[1..].iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        self.target = Blob::json(&self.target.media_type, &manifest);
        self.target.digest = digest(&self.target.bytes);
        self.id.clone_from(&self.blobs[0].digest);
        self
    }

    /// Every blob, the target last.
    pub fn all(&self) -> impl Iterator<Item = &Blob> {
        self.blobs.iter().chain(&self.manifests).chain([&self.target])
    }
}

fn write_archive(path: &Path, tree: &Tree) -> Result<()> {
    let layer = Layer::new("archive", tree, Compression::None)?;
    std::fs::write(path, layer.packed()).with_context(|| format!("write {}", path.display()))
}

// The manifest, the whole configuration, and the blobs: the configuration first.
fn manifest(docker: bool, arch: &str, layers: &[Layer], config: &Value) -> (Blob, Value, Vec<Blob>) {
    let (manifest_type, config_type) = if docker {
        ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json")
    } else {
        ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json")
    };
    let config = json!({
        "architecture": arch, "os": "linux", "created": CREATED, "config": config,
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|l| &l.diff_id).collect::<Vec<_>>() },
        "history": layers.iter().map(|l| json!({ "created": CREATED, "created_by": l.note })).collect::<Vec<_>>(),
    });
    let mut blobs = vec![Blob::json(config_type, &config)];
    blobs.extend(layers.iter().map(|layer| layer.blob(docker)));
    let manifest = Blob::json(
        manifest_type,
        &json!({
            "schemaVersion": 2, "mediaType": manifest_type, "config": blobs[0].descriptor(),
            "layers": blobs[1..].iter().map(Blob::descriptor).collect::<Vec<_>>(),
        }),
    );
    (manifest, config, blobs)
}
