//! What a specification may name.

use oci_spec::runtime::LinuxCapabilities;
use wharf_error::Result;

use crate::plan::{KNOWN_MOUNT_OPTIONS, known_capabilities, possible};

/// The options of mounts that are not a file system's own, in alphabetical order.
pub fn mount_options() -> Vec<&'static str> {
    let mut options = KNOWN_MOUNT_OPTIONS.to_vec();
    options.sort_unstable();
    options
}

/// The capabilities that this kernel has, as `CAP_CHOWN`.
pub fn capability_names() -> Result<Vec<String>> {
    known_capabilities()
}

/// What is left of these sets without the capabilities that this process does not have and cannot give.
pub fn possible_capabilities(capabilities: &LinuxCapabilities) -> Result<LinuxCapabilities> {
    possible(capabilities)
}
