//! Where things are put into a specification.

use oci_spec::runtime::{Hook, Linux, LinuxDevice, LinuxDeviceCgroup, LinuxNetDevice, Mount, Process, Spec};
use wharf_error::{Error, Result};

/// A variable of the same name is replaced.
pub(crate) fn env(spec: &mut Spec, entry: &str) {
    process(spec, |process| {
        let mut env = process.env().clone().unwrap_or_default();
        let name = |entry: &str| entry.split('=').next().map(str::to_owned);
        env.retain(|old| name(old) != name(entry));
        env.push(entry.to_owned());
        process.set_env(Some(env));
    });
}

pub(crate) fn group(spec: &mut Spec, gid: u32) {
    process(spec, |process| {
        let mut user = process.user().clone();
        let mut groups = user.additional_gids().clone().unwrap_or_default();
        if !groups.contains(&gid) {
            groups.push(gid);
        }
        user.set_additional_gids(Some(groups));
        process.set_user(user);
    });
}

/// One at the same place is replaced; upper places stay before those below them.
pub(crate) fn mount(spec: &mut Spec, mount: Mount) {
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.retain(|old| old.destination() != mount.destination());
    let below =
        |old: &Mount| old.destination() != mount.destination() && old.destination().starts_with(mount.destination());
    let at = mounts.iter().position(below).unwrap_or(mounts.len());
    mounts.insert(at, mount);
    spec.set_mounts(Some(mounts));
}

/// After those that are there of its kind.
pub(crate) fn hook(spec: &mut Spec, kind: &str, hook: Hook) -> Result<()> {
    let mut hooks = spec.hooks().clone().unwrap_or_default();
    let list = match kind {
        #[allow(deprecated, reason = "files of vendors name it")]
        "prestart" => hooks.prestart_mut(),
        "createRuntime" => hooks.create_runtime_mut(),
        "createContainer" => hooks.create_container_mut(),
        "startContainer" => hooks.start_container_mut(),
        "poststart" => hooks.poststart_mut(),
        "poststop" => hooks.poststop_mut(),
        other => return Err(Error::invalid(format!("hooks: {other:?} is no turn of a container's life"))),
    };
    list.get_or_insert_default().push(hook);
    spec.set_hooks(Some(hooks));
    Ok(())
}

/// One at the same place is replaced.
pub(crate) fn device(spec: &mut Spec, device: LinuxDevice) {
    linux(spec, |linux| {
        let mut devices = linux.devices().clone().unwrap_or_default();
        devices.retain(|old| old.path() != device.path());
        devices.push(device);
        linux.set_devices(Some(devices));
    });
}

/// The same again is nothing new; another use of either name is an error.
pub(crate) fn net_device(spec: &mut Spec, host: &str, device: LinuxNetDevice) -> Result<()> {
    let devices = spec.linux().as_ref().and_then(|linux| linux.net_devices().clone()).unwrap_or_default();
    match devices.get(host) {
        Some(old) if *old == device => return Ok(()),
        Some(_) => return Err(Error::invalid(format!("netDevices: {host:?} is given two names"))),
        None if devices.values().any(|old| old.name() == device.name()) => {
            let name = device.name().clone().unwrap_or_default();
            return Err(Error::invalid(format!("netDevices: two interfaces are to be {name:?} inside")));
        }
        None => {}
    }
    linux(spec, |linux| {
        let mut devices = devices;
        devices.insert(host.to_owned(), device);
        linux.set_net_devices(Some(devices));
    });
    Ok(())
}

pub(crate) fn rule(spec: &mut Spec, rule: LinuxDeviceCgroup) {
    linux(spec, |linux| {
        let mut resources = linux.resources().clone().unwrap_or_default();
        let mut rules = resources.devices().clone().unwrap_or_default();
        rules.push(rule);
        resources.set_devices(Some(rules));
        linux.set_resources(Some(resources));
    });
}

fn process(spec: &mut Spec, change: impl FnOnce(&mut Process)) {
    let mut process = spec.process().clone().unwrap_or_default();
    change(&mut process);
    spec.set_process(Some(process));
}

fn linux(spec: &mut Spec, change: impl FnOnce(&mut Linux)) {
    let mut linux = spec.linux().clone().unwrap_or_default();
    change(&mut linux);
    spec.set_linux(Some(linux));
}
