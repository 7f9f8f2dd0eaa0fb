//! Any bytes as Docker's config.json.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for (host, repository) in [("docker.io", "library/busybox"), ("r.example:5000", "team/app")] {
        wharf_registry::fuzzing::docker_config(bytes, host, repository);
    }
});
