use std::{
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType as Type};
use wharf_api::cri::Device;
use wharf_error::{Error, Result, ResultExt as _};

use super::Input;

const ALL: &str = "rwm";

/// The nodes to make in the container's `/dev`, and what its control group may open.
pub(super) struct Devices {
    pub(super) nodes: Vec<LinuxDevice>,
    pub(super) rules: Vec<LinuxDeviceCgroup>,
}

/// Nothing but the usual ones, which every container has; those that are asked for; all, where it is privileged.
pub(super) fn build(input: &Input<'_>) -> Result<Devices> {
    if input.security().privileged {
        let mut nodes = Vec::new();
        collect(Path::new("/dev"), Path::new("/dev"), &mut nodes)?;
        for device in &input.config.devices {
            add(&asked(device)?, &mut nodes);
        }
        return Ok(Devices { nodes, rules: vec![rule(true, Type::A, None, None, ALL)] });
    }
    let mut devices = Devices { nodes: Vec::new(), rules: usual() };
    for device in &input.config.devices {
        let permissions = permissions(device)?;
        let nodes = asked(device)?;
        for node in &nodes {
            devices.rules.push(rule(true, node.typ(), Some(node.major()), Some(node.minor()), permissions));
        }
        add(&nodes, &mut devices.nodes);
    }
    Ok(devices)
}

/// Everything is denied but making nodes and the devices of a plain container.
fn usual() -> Vec<LinuxDeviceCgroup> {
    let mut rules = vec![
        rule(false, Type::A, None, None, ALL),
        rule(true, Type::C, None, None, "m"),
        rule(true, Type::B, None, None, "m"),
    ];
    // null, zero, full, random, urandom; tty, console, ptmx.
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)] {
        rules.push(rule(true, Type::C, Some(major), Some(minor), ALL));
    }
    // The container's own terminals.
    rules.push(rule(true, Type::C, Some(136), None, ALL));
    rules
}

fn asked(device: &Device) -> Result<Vec<LinuxDevice>> {
    let what = || format!("devices[{}]", device.host_path);
    if !device.host_path.starts_with('/') || !device.container_path.starts_with('/') {
        return Err(Error::invalid(format!("{}: host_path or container_path is not absolute", what())));
    }
    let host = fs::canonicalize(&device.host_path).step(what)?;
    let container: PathBuf = Path::new(&device.container_path).components().collect();
    let metadata = fs::symlink_metadata(&host).step(what)?;
    let mut nodes = Vec::new();
    if metadata.is_dir() {
        collect(&host, &container, &mut nodes).step(what)?;
    } else {
        let node = node(&metadata, &container);
        nodes.push(node.ok_or_else(|| Error::invalid(format!("{}: not a device node", what())))?);
    }
    Ok(nodes)
}

/// Every device below a folder, but those that each container has of its own.
fn collect(host: &Path, container: &Path, nodes: &mut Vec<LinuxDevice>) -> Result<()> {
    let entries = fs::read_dir(host).step(|| format!("read {}", host.display()))?;
    for entry in entries {
        let entry = entry.step(|| format!("read {}", host.display()))?;
        let name = entry.file_name();
        // One that is unplugged meanwhile is not there.
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
        let below = container.join(&name);
        if metadata.is_dir() {
            let skipped = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];
            if !skipped.iter().any(|skipped| name == *skipped) {
                collect(&entry.path(), &below, nodes)?;
            }
        } else if name != "console" && !metadata.file_type().is_fifo() {
            nodes.extend(node(&metadata, &below));
        }
    }
    nodes.sort_by(|one, other| one.path().cmp(other.path()));
    Ok(())
}

fn node(metadata: &Metadata, path: &Path) -> Option<LinuxDevice> {
    let kind = metadata.file_type();
    let kind = match () {
        () if kind.is_char_device() => Type::C,
        () if kind.is_block_device() => Type::B,
        () if kind.is_fifo() => Type::P,
        () => return None,
    };
    let number = metadata.rdev();
    let mut node = LinuxDevice::default();
    node.set_path(path.into())
        .set_typ(kind)
        .set_major(i64::from(rustix::fs::major(number)))
        .set_minor(i64::from(rustix::fs::minor(number)))
        .set_file_mode(Some(metadata.mode() & 0o7777))
        .set_uid(Some(metadata.uid()))
        .set_gid(Some(metadata.gid()));
    Some(node)
}

/// A later one at the same path takes the place of an earlier one.
fn add(new: &[LinuxDevice], nodes: &mut Vec<LinuxDevice>) {
    for node in new {
        nodes.retain(|old| old.path() != node.path());
        nodes.push(node.clone());
    }
}

fn permissions(device: &Device) -> Result<&str> {
    match device.permissions.as_str() {
        "" => Ok(ALL),
        known if known.bytes().all(|byte| ALL.as_bytes().contains(&byte)) => Ok(known),
        other => Err(Error::invalid(format!("devices[{}].permissions: {other:?} is not of r, w, m", device.host_path))),
    }
}

fn rule(allow: bool, kind: Type, major: Option<i64>, minor: Option<i64>, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow).set_typ(Some(kind)).set_major(major).set_minor(minor).set_access(Some(access.to_owned()));
    rule
}
