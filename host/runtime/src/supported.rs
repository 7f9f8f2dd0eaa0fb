//! What a specification may name.

use oci_spec::runtime::LinuxCapabilities;
use wharf_error::Result;

use crate::{
    plan::{KNOWN_MOUNT_OPTIONS, known_capabilities, possible},
    sys::takes_filter_flags,
};

/// With a listener, for which the last one is.
const SECCOMP_FLAGS: [(&str, u64); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", libc::SECCOMP_FILTER_FLAG_TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", libc::SECCOMP_FILTER_FLAG_LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
    (
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
    ),
];

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

/// The flags of seccomp profiles that are understood.
pub fn seccomp_flags() -> Vec<&'static str> {
    SECCOMP_FLAGS.iter().map(|(name, _)| *name).collect()
}

/// Those of them that this kernel takes, found out by asking it.
pub fn probe_seccomp_flags() -> Vec<&'static str> {
    SECCOMP_FLAGS.iter().filter(|(_, flags)| takes_filter_flags(*flags)).map(|(name, _)| *name).collect()
}
