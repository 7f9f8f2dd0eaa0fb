use std::path::{Component, Path};

use oci_spec::runtime::{Hook, LinuxNetDevice, Mount, Spec};
use wharf_error::{Error, Kind, Result};

use crate::{
    merge, nodes,
    spec::{Edits, Hook as AskedHook, Mount as Asked, NetDevice},
};

/// Makes one file's or device's changes.
pub(crate) fn apply(edits: &Edits, spec: &mut Spec) -> Result<()> {
    refuse(edits)?;
    for node in &edits.device_nodes {
        nodes::add(node, spec)?;
    }
    for mount in &edits.mounts {
        add_mount(mount, spec)?;
    }
    for entry in &edits.env {
        if !entry.contains('=') || entry.starts_with('=') || entry.contains('\0') {
            return Err(Error::invalid(format!("env {entry:?}: not NAME=value")));
        }
        merge::env(spec, entry);
    }
    for device in &edits.net_devices {
        add_net_device(device, spec)?;
    }
    for hook in &edits.hooks {
        add_hook(hook, spec)?;
    }
    for gid in &edits.additional_gids {
        // The process is in its own group anyway, and root's cannot be given this way.
        if *gid != 0 {
            merge::group(spec, *gid);
        }
    }
    Ok(())
}

/// What is not implemented. A device that needs it is refused rather than given half.
fn refuse(edits: &Edits) -> Result<()> {
    match edits.intel_rdt {
        Some(_) => Err(Error::new(Kind::Unsupported, "intelRdt classes are not supported yet")),
        None => Ok(()),
    }
}

/// Each interface goes to one place, and each place has one.
fn add_net_device(asked: &NetDevice, spec: &mut Spec) -> Result<()> {
    let (host, name) = (&asked.host_interface_name, &asked.name);
    if host.is_empty() || name.is_empty() {
        return Err(Error::invalid("netDevices: hostInterfaceName and name are needed"));
    }
    let mut device = LinuxNetDevice::default();
    device.set_name(Some(name.clone()));
    merge::net_device(spec, host, device)
}

/// A program of the node's, run at a turn of the container's life, after those that are there for it.
fn add_hook(asked: &AskedHook, spec: &mut Spec) -> Result<()> {
    let (kind, path) = (&asked.hook_name, &asked.path);
    absolute("hooks: path", path)?;
    if let Some(seconds) = asked.timeout.filter(|seconds| *seconds <= 0) {
        return Err(Error::invalid(format!("hooks[{kind} {path}]: timeout {seconds} is not above zero")));
    }
    let some = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
    let mut hook = Hook::default();
    hook.set_path(path.into()).set_args(some(&asked.args)).set_env(some(&asked.env)).set_timeout(asked.timeout);
    merge::hook(spec, kind, hook)
}

/// A mount at the same place is replaced.
fn add_mount(asked: &Asked, spec: &mut Spec) -> Result<()> {
    let at = &asked.container_path;
    absolute("mounts: containerPath", at)?;
    if asked.host_path.is_empty() {
        return Err(Error::invalid(format!("mounts[{at}]: no hostPath")));
    }
    let bind = asked.kind.is_empty() || asked.kind == "bind";
    if bind {
        absolute("mounts: hostPath", &asked.host_path)?;
    }
    let mut options = asked.options.clone();
    if bind && !options.iter().any(|option| option == "bind" || option == "rbind") {
        options.insert(0, "rbind".into());
    }
    let mut mount = Mount::default();
    mount
        .set_destination(at.into())
        .set_source(Some(asked.host_path.clone().into()))
        .set_typ(Some(if bind { "bind".into() } else { asked.kind.clone() }))
        .set_options(Some(options));
    merge::mount(spec, mount);
    Ok(())
}

pub(crate) fn absolute(field: &str, path: &str) -> Result<()> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.starts_with('/') && path.len() > 1 && plain && !path.contains('\0') {
        return Ok(());
    }
    Err(Error::invalid(format!("{field}: {path:?} is not a plain absolute path")))
}
