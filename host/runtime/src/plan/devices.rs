use std::{os::unix::ffi::OsStrExt as _, path::Path};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use wharf_error::{Error, Result};

use super::{c_string, mount_options::is_bind, strings::inside};
use crate::{
    UserNamespace,
    child::{Node, Op, Program},
};

/// The devices that every container has.
const DEFAULTS: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The links that every container has.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Adds the steps that make devices and links in `/dev`. A `/dev` that is bound from elsewhere is left as it is.
pub(crate) fn plan_devices(spec: &Spec, user: Option<&UserNamespace>, program: &mut Program) -> Result<()> {
    let mut mounts = spec.mounts().iter().flatten();
    if mounts.any(|mount| mount.destination() == Path::new("/dev") && is_bind(mount)) {
        return Ok(());
    }
    let listed: &[LinuxDevice] = spec.linux().as_ref().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    let owner = user.map_or(Ok((0, 0)), UserNamespace::root)?;
    for (name, major, minor) in DEFAULTS {
        let path = Path::new("/dev").join(name);
        if !listed.iter().any(|device| *device.path() == path) {
            let mode = libc::S_IFCHR | 0o666;
            add(&path, mode, (major, minor), owner, program)?;
        }
    }
    for device in listed {
        let path = device.path();
        // What belongs to the container's own terminals is never a device of the host's.
        if path == Path::new("/dev/ptmx") {
            continue;
        }
        let kind = match device.typ() {
            LinuxDeviceType::B => libc::S_IFBLK,
            LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
            LinuxDeviceType::P => libc::S_IFIFO,
            LinuxDeviceType::A => {
                return Err(Error::invalid(format!("device {}: a node cannot be of type a", path.display())));
            }
        };
        let number = |field: &str, value: i64| {
            u32::try_from(value).map_err(|_| Error::invalid(format!("device {}: {field} {value}", path.display())))
        };
        let numbers = if kind == libc::S_IFIFO {
            (0, 0)
        } else {
            (number("major", device.major())?, number("minor", device.minor())?)
        };
        let mode = kind | device.file_mode().unwrap_or(0o666) & 0o7777;
        // In a user namespace, too, these are the host's ids, as on the nodes that others bind from there: who may not open
        // the host's device may not open this one.
        add(path, mode, numbers, (device.uid().unwrap_or(0), device.gid().unwrap_or(0)), program)?;
    }
    for (target, name) in LINKS {
        let op = Op::MakeLink {
            target: c_string("link", target)?,
            directory: b"/dev".to_vec(),
            name: c_string("link", name)?,
        };
        program.step(format!("link /dev/{name}"), op);
    }
    Ok(())
}

fn add(path: &Path, mode: u32, device: (u32, u32), owner: (u32, u32), program: &mut Program) -> Result<()> {
    inside("device", path)?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::invalid(format!("device {path:?} has no name")));
    };
    let node = Node {
        directory: directory.as_os_str().as_bytes().to_vec(),
        name: c_string("device", name)?,
        mode,
        device,
        uid: owner.0,
        gid: owner.1,
    };
    program.step(format!("device {}", path.display()), Op::MakeNode(node));
    Ok(())
}
