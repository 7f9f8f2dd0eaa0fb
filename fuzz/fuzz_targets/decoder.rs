//! Any bytes as a compressed blob: decoding ends, and what is read is bounded by the reader.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use wharf_layers::decoder;

const TYPES: [&str; 3] = ["tar", "tar+gzip", "tar+zstd"];

fuzz_target!(|input: &[u8]| {
    let Some((how, blob)) = input.split_first() else { return };
    let media_type = format!("application/vnd.oci.image.layer.v1.{}", TYPES[usize::from(*how) % TYPES.len()]);
    let Ok(reader) = decoder(blob, &media_type) else { return };
    let mut out = Vec::new();
    let _ = reader.take(8 << 20).read_to_end(&mut out);
});
