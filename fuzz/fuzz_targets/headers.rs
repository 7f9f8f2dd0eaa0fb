//! Any bytes as the headers by which a registry asks for credentials or for patience, and as an image's name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_registry::Reference;

fuzz_target!(|bytes: &[u8]| {
    wharf_registry::fuzzing::headers(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(name) = text.parse::<Reference>()
    {
        // What is written is read as the same again.
        assert_eq!(name.to_string().parse::<Reference>().ok(), Some(name));
    }
});
