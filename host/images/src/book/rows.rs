use oci_spec::image::Descriptor;
use serde::{Deserialize, Serialize};
use wharf_store::{Lifetime, Table};

/// `<namespace>/<normalised name>`: what a tag or a digest points to.
pub(crate) enum Names {}

/// `<namespace>/<id>`: the images themselves.
pub(crate) enum Images {}

/// `<namespace>/`: every namespace that ever had a pull, so that what one left is found after a crash.
pub(crate) enum Namespaces {}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct NameRow {
    /// Manifest or index.
    pub target: Descriptor,
    /// The id of the image that it is on this platform.
    pub image: String,
    /// Nanoseconds since 1970.
    #[serde(default)]
    pub updated: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ImageRow {
    /// What its names pointed to when it was recorded.
    pub target: Descriptor,
    pub manifest: Descriptor,
    pub config: Descriptor,
    /// Of all layers, bottom first.
    #[serde(default)]
    pub chain: Vec<String>,
    #[serde(default)]
    pub size: u64,
    /// Nanoseconds since 1970.
    #[serde(default)]
    pub created: i64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct NamespaceRow {}

impl Table for Names {
    const NAME: &'static str = "image-names";
    const LIFETIME: Lifetime = Lifetime::Durable;
    type Row = NameRow;
}

impl Table for Images {
    const NAME: &'static str = "images";
    const LIFETIME: Lifetime = Lifetime::Durable;
    type Row = ImageRow;
}

impl Table for Namespaces {
    const NAME: &'static str = "image-namespaces";
    const LIFETIME: Lifetime = Lifetime::Durable;
    type Row = NamespaceRow;
}
