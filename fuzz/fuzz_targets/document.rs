//! Any bytes as a manifest, an index or an image's configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_spec::image::ImageConfiguration;
use wharf_registry::{Document, media_types};

const TYPES: [&str; 6] = [
    media_types::OCI_MANIFEST,
    media_types::OCI_INDEX,
    media_types::DOCKER_MANIFEST,
    media_types::DOCKER_LIST,
    "application/json",
    "",
];

fuzz_target!(|input: &[u8]| {
    let Some((how, bytes)) = input.split_first() else { return };
    let _ = serde_json::from_slice::<ImageConfiguration>(bytes);
    let Ok(document) = Document::parse(TYPES[usize::from(*how) % TYPES.len()], bytes) else { return };
    // One digest, one meaning: under no type is the same document the other kind.
    for media_type in TYPES {
        if let Ok(other) = Document::parse(media_type, bytes) {
            assert_eq!(matches!(document, Document::Index(_)), matches!(other, Document::Index(_)));
        }
    }
});
