use std::{fs, path::Path};

use serde_json::json;
use wharf_error::{Result, ResultExt as _};
use wharf_runtime::{capability_names, mount_options, probe_recursive_read_only};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {}

const ACTIONS: [&str; 8] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRAP",
];

const OPERATORS: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"];

/// Prints what is supported, in the specification's format. What this node decides is tried.
pub(crate) fn run(_flags: &Flags) -> Result<u8> {
    let mut options = mount_options();
    if probe_recursive_read_only().is_err() {
        options.retain(|option| *option != "rro");
    }
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.1",
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": options,
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": capability_names()?,
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": { "enabled": true, "actions": ACTIONS, "operators": OPERATORS },
            "apparmor": { "enabled": is_yes("/sys/module/apparmor/parameters/enabled") },
            "selinux": { "enabled": Path::new("/sys/fs/selinux/enforce").exists() },
            "intelRdt": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": false },
        },
        "annotations": { "wharf.example/version": env!("CARGO_PKG_VERSION") },
        "potentiallyUnsafeConfigAnnotations": [],
    });
    println!("{}", serde_json::to_string_pretty(&features).step(|| "encode the features".into())?);
    Ok(0)
}

/// A setting of the kernel's that is `Y`.
fn is_yes(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == "Y")
}
