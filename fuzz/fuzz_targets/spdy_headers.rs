//! Any bytes as SPDY header blocks of one connection: reading ends, and what is inflated is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wharf_streaming::fuzz_headers(input));
