use oci_spec::image::{Descriptor, ImageConfiguration};

/// An image on the node, complete: all its layers are committed snapshots.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of its configuration, `sha256:…`: what CRI calls the image's id.
    pub id: String,
    /// Its names with a tag, normalised, in order. Empty where its last tag has moved on.
    pub names: Vec<String>,
    /// Its names with a digest, `repository@sha256:…`, in order.
    pub digests: Vec<String>,
    /// What its newest name points to: a manifest or an index.
    pub target: Descriptor,
    /// The bytes that its layers and documents take on the disk.
    pub size: u64,
    /// Its configuration. Everything in it is the image maker's word.
    pub config: ImageConfiguration,
    /// The name of the snapshot with its topmost layer; empty for an image without layers.
    pub chain_id: String,
    /// Whether the configuration says to keep it.
    pub pinned: bool,
}
