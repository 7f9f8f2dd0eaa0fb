use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType as Type, Spec};
use rustix::fs::{FileType, major, minor, stat};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{edits::absolute, merge, spec::DeviceNode};

/// Adds a device's node, and for all but pipes the leave to open it. What is not said is looked up on the host.
pub(crate) fn add(asked: &DeviceNode, spec: &mut Spec) -> Result<()> {
    let path = &asked.path;
    absolute("deviceNodes: path", path)?;
    let access = permissions(&asked.permissions)?;
    let host = Host::look(asked)?;
    let mut device = LinuxDevice::default();
    device
        .set_path(path.into())
        .set_typ(host.kind)
        .set_major(host.major)
        .set_minor(host.minor)
        .set_file_mode(asked.file_mode.or(host.mode))
        .set_uid(Some(asked.uid.unwrap_or_else(|| owner(spec, |user| user.uid()))))
        .set_gid(Some(asked.gid.unwrap_or_else(|| owner(spec, |user| user.gid()))));
    merge::device(spec, device);
    if host.kind != Type::P {
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(true)
            .set_typ(Some(host.kind))
            .set_major(Some(host.major))
            .set_minor(Some(host.minor))
            .set_access(Some(access.to_owned()));
        merge::rule(spec, rule);
    }
    Ok(())
}

/// As the other runtimes have it: a node of which nobody says whose it is belongs to the container's user.
fn owner(spec: &Spec, id: fn(&oci_spec::runtime::User) -> u32) -> u32 {
    spec.process().as_ref().map(|process| id(process.user())).unwrap_or_default()
}

struct Host {
    kind: Type,
    major: i64,
    minor: i64,
    mode: Option<u32>,
}

// === impl Host ===

impl Host {
    fn look(asked: &DeviceNode) -> Result<Self> {
        let named = match asked.kind.as_str() {
            "" => None,
            "b" => Some(Type::B),
            "c" | "u" => Some(Type::C),
            "p" => Some(Type::P),
            other => return Err(Error::invalid(format!("deviceNodes[{}]: type {other:?} is none", asked.path))),
        };
        if let Some(kind) = named
            && (kind == Type::P || asked.major != 0)
        {
            return Ok(Self { kind, major: asked.major, minor: asked.minor, mode: None });
        }
        let path = asked.host_path.as_deref().unwrap_or(&asked.path);
        absolute("deviceNodes: hostPath", path)?;
        let found = stat(path).step_as(Kind::FailedPrecondition, || format!("device node {path}"))?;
        let kind = match FileType::from_raw_mode(found.st_mode) {
            FileType::BlockDevice => Type::B,
            FileType::CharacterDevice => Type::C,
            FileType::Fifo => Type::P,
            _ => return Err(Error::new(Kind::FailedPrecondition, format!("device node {path}: it is no device"))),
        };
        if named.is_some_and(|named| named != kind) {
            let what = format!("device node {path}: it is no device of type {:?}", asked.kind);
            return Err(Error::new(Kind::FailedPrecondition, what));
        }
        Ok(Self {
            kind,
            major: major(found.st_rdev).into(),
            minor: minor(found.st_rdev).into(),
            mode: Some(found.st_mode & 0o7777),
        })
    }
}

fn permissions(asked: &str) -> Result<&str> {
    match asked {
        "" => Ok("rwm"),
        known if known.bytes().all(|byte| b"rwm".contains(&byte)) => Ok(known),
        other => Err(Error::invalid(format!("deviceNodes: permissions {other:?} are not of r, w, m"))),
    }
}
