//! Which version of CDI a file must name for what it uses.

use crate::spec::{Edits, Spec};

const KNOWN: &[&str] = &["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

/// The first reason against a file's version, if there is one.
pub(crate) fn check(spec: &Spec) -> Result<(), String> {
    let version = spec.cdi_version.strip_prefix('v').unwrap_or(&spec.cdi_version);
    let Some(named) = KNOWN.iter().position(|known| *known == version) else {
        return Err(format!("cdiVersion {:?} is not known; up to {} is", spec.cdi_version, KNOWN[KNOWN.len() - 1]));
    };
    for (needed, what) in needs(spec) {
        if KNOWN.iter().position(|known| *known == needed).is_some_and(|needed| named < needed) {
            return Err(format!("cdiVersion {:?} has no {what}: that needs {needed}", spec.cdi_version));
        }
    }
    Ok(())
}

fn needs(spec: &Spec) -> Vec<(&'static str, &'static str)> {
    let all: Vec<&Edits> =
        spec.devices.iter().map(|device| &device.container_edits).chain([&spec.container_edits]).collect();
    let any = |uses: fn(&Edits) -> bool| all.iter().any(|edits| uses(edits));
    let digit_first = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
    let class = spec.kind.split_once('/').map(|(_, class)| class).unwrap_or_default();
    let uses = [
        (any(|edits| edits.mounts.iter().any(|mount| !mount.kind.is_empty())), "0.4.0", "mounts with a type"),
        (
            any(|edits| edits.device_nodes.iter().any(|node| node.host_path.is_some())),
            "0.5.0",
            "device nodes with a hostPath",
        ),
        (spec.devices.iter().any(|device| digit_first(&device.name)), "0.5.0", "device names that begin with a digit"),
        (
            !spec.annotations.is_empty() || spec.devices.iter().any(|device| !device.annotations.is_empty()),
            "0.6.0",
            "annotations",
        ),
        (class.contains('.'), "0.6.0", "classes with a dot"),
        (any(|edits| edits.intel_rdt.is_some()), "0.7.0", "intelRdt"),
        (any(|edits| !edits.additional_gids.is_empty()), "0.7.0", "additionalGids"),
        (any(|edits| !edits.net_devices.is_empty()), "1.1.0", "netDevices"),
    ];
    uses.into_iter().filter(|(used, ..)| *used).map(|(_, version, what)| (version, what)).collect()
}
