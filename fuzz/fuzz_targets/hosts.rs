//! Any text as a hosts.toml.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for registry in ["docker.io", "registry.example:5000", "127.0.0.1:5000"] {
        wharf_registry::fuzzing::hosts_toml(text, registry);
    }
});
