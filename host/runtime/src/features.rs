use std::{fs, path::Path};

use serde_json::{Value, json};
use wharf_error::Result;

use crate::{
    probe_recursive_read_only,
    supported::{capability_names, mount_options, probe_seccomp_flags, seccomp_flags},
};

const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const OPERATORS: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"];

/// Those whose calls a filter of this processor's kernel tells apart.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: [&str; 3] = ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];
#[cfg(not(target_arch = "x86_64"))]
const ARCHITECTURES: [&str; 2] = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"];

const POLICIES: [&str; 7] = [
    "MPOL_BIND",
    "MPOL_DEFAULT",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

const POLICY_FLAGS: [&str; 3] = ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

/// What is supported, in the specification's format of features, by a program of this version. What this node decides is
/// tried.
///
/// # Errors
///
/// Where the kernel's capabilities cannot be read.
pub fn features(version: &str) -> Result<Value> {
    let mut options = mount_options();
    if probe_recursive_read_only().is_err() {
        options.retain(|option| *option != "rro");
    }
    Ok(json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": options,
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": capability_names()?,
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": true },
            "seccomp": {
                "enabled": true,
                "actions": ACTIONS,
                "operators": OPERATORS,
                "archs": ARCHITECTURES,
                "knownFlags": seccomp_flags(),
                "supportedFlags": probe_seccomp_flags(),
            },
            "apparmor": { "enabled": is_yes("/sys/module/apparmor/parameters/enabled") },
            "selinux": { "enabled": Path::new("/sys/fs/selinux/enforce").exists() },
            "intelRdt": { "enabled": false },
            "memoryPolicy": { "modes": POLICIES, "flags": POLICY_FLAGS },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": true },
        },
        "annotations": { "wharf.example/version": version },
        "potentiallyUnsafeConfigAnnotations": [],
    }))
}

/// A setting of the kernel's that is `Y`.
fn is_yes(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == "Y")
}
