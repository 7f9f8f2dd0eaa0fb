use std::sync::OnceLock;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    child::{Credentials, Sets},
    sys,
    user::Identity,
};

/// The credentials of a process: the specification's sets as they are, without what this node itself does not have.
/// What was left out is told in `warnings`. No capabilities at all means none. In a user namespace there are all that
/// the kernel knows, whatever the node has.
pub(super) fn credentials(
    identity: &Identity,
    capabilities: Option<&LinuxCapabilities>,
    in_user_namespace: bool,
    warnings: &mut Vec<String>,
) -> Result<Credentials> {
    let mut ours = ours()?;
    if in_user_namespace {
        ours = Ours { bounding: ours.known, permitted: ours.known, ..ours };
    }
    let mut missing = 0;
    let mut set = |list: Option<&Option<Capabilities>>, allowed: u64| {
        let wanted = list.and_then(Option::as_ref).map_or(0, bits);
        missing |= wanted & !allowed;
        wanted & allowed
    };
    let bounding = set(capabilities.map(LinuxCapabilities::bounding), ours.bounding);
    let permitted = set(capabilities.map(LinuxCapabilities::permitted), ours.permitted);
    let effective = set(capabilities.map(LinuxCapabilities::effective), ours.permitted);
    let inheritable = set(capabilities.map(LinuxCapabilities::inheritable), ours.permitted & ours.bounding);
    let ambient = set(capabilities.map(LinuxCapabilities::ambient), ours.permitted);
    if missing != 0 {
        warnings.push(format!("capabilities {} are not this node's to give", names(missing)));
    }
    if effective & !permitted != 0 {
        let names = names(effective & !permitted);
        return Err(Error::invalid(format!("process.capabilities: {names} effective, but not permitted")));
    }
    if inheritable & !bounding != 0 {
        let names = names(inheritable & !bounding);
        return Err(Error::invalid(format!("process.capabilities: {names} inheritable, but not bounding")));
    }
    // The kernel raises an ambient capability only if it is permitted and inheritable.
    let raised = ambient & permitted & inheritable;
    if raised != ambient {
        let names = names(ambient & !raised);
        warnings.push(format!("capabilities {names} cannot be ambient: they are not permitted and inheritable"));
    }
    Ok(Credentials {
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups.clone(),
        drop: list(ours.known & !bounding),
        sets: Sets { effective, permitted, inheritable },
        ambient: list(raised),
        lent: 0,
    })
}

/// What this process itself has, one bit a capability.
#[derive(Clone, Copy, Debug)]
struct Ours {
    known: u64,
    bounding: u64,
    permitted: u64,
}

fn ours() -> Result<Ours> {
    static OURS: OnceLock<Ours> = OnceLock::new();
    if let Some(ours) = OURS.get() {
        return Ok(*ours);
    }
    let permitted = sys::permitted_capabilities().map_err(std::io::Error::from).step(|| "read capabilities".into())?;
    let mut ours = Ours { known: 0, bounding: 0, permitted };
    for capability in 0..64 {
        let Ok(bounding) = sys::has_bounding(capability) else { break };
        ours.known |= 1 << capability;
        ours.bounding |= u64::from(bounding) << capability;
    }
    Ok(*OURS.get_or_init(|| ours))
}

fn bits(capabilities: &Capabilities) -> u64 {
    capabilities.iter().map(|capability| 1 << number(*capability)).fold(0, |all, one: u64| all | one)
}

fn list(bits: u64) -> Vec<u32> {
    (0..64).filter(|capability| bits >> capability & 1 == 1).collect()
}

fn names(bits: u64) -> String {
    let name = |number: u32| {
        let of = ALL.iter().find(|(_, other)| *other == number);
        of.map_or_else(|| number.to_string(), |(capability, _)| format!("CAP_{capability}"))
    };
    list(bits).into_iter().map(name).collect::<Vec<_>>().join(", ")
}

fn number(capability: Capability) -> u32 {
    ALL.iter().find(|(other, _)| *other == capability).map_or(63, |(_, number)| *number)
}

/// Sets of capabilities without those that this process itself does not have.
pub(crate) fn possible(capabilities: &LinuxCapabilities) -> Result<LinuxCapabilities> {
    let ours = ours()?;
    let within = |set: &Option<Capabilities>, allowed: u64| {
        let has = |capability: &Capability| allowed >> number(*capability) & 1 == 1;
        set.as_ref().map(|set| set.iter().copied().filter(has).collect::<Capabilities>())
    };
    let mut possible = capabilities.clone();
    possible.set_bounding(within(capabilities.bounding(), ours.bounding));
    possible.set_permitted(within(capabilities.permitted(), ours.permitted));
    possible.set_effective(within(capabilities.effective(), ours.permitted));
    possible.set_inheritable(within(capabilities.inheritable(), ours.permitted & ours.bounding));
    possible.set_ambient(within(capabilities.ambient(), ours.permitted));
    Ok(possible)
}

/// The capabilities that this kernel has, by their names.
pub(crate) fn known_capabilities() -> Result<Vec<String>> {
    let known = ours()?.known;
    let ours = ALL.iter().filter(|(_, number)| known >> number & 1 == 1);
    Ok(ours.map(|(capability, _)| format!("CAP_{capability}")).collect())
}

/// By the kernel's numbers.
const ALL: [(Capability, u32); 41] = [
    (Capability::Chown, 0),
    (Capability::DacOverride, 1),
    (Capability::DacReadSearch, 2),
    (Capability::Fowner, 3),
    (Capability::Fsetid, 4),
    (Capability::Kill, 5),
    (Capability::Setgid, 6),
    (Capability::Setuid, 7),
    (Capability::Setpcap, 8),
    (Capability::LinuxImmutable, 9),
    (Capability::NetBindService, 10),
    (Capability::NetBroadcast, 11),
    (Capability::NetAdmin, 12),
    (Capability::NetRaw, 13),
    (Capability::IpcLock, 14),
    (Capability::IpcOwner, 15),
    (Capability::SysModule, 16),
    (Capability::SysRawio, 17),
    (Capability::SysChroot, 18),
    (Capability::SysPtrace, 19),
    (Capability::SysPacct, 20),
    (Capability::SysAdmin, 21),
    (Capability::SysBoot, 22),
    (Capability::SysNice, 23),
    (Capability::SysResource, 24),
    (Capability::SysTime, 25),
    (Capability::SysTtyConfig, 26),
    (Capability::Mknod, 27),
    (Capability::Lease, 28),
    (Capability::AuditWrite, 29),
    (Capability::AuditControl, 30),
    (Capability::Setfcap, 31),
    (Capability::MacOverride, 32),
    (Capability::MacAdmin, 33),
    (Capability::Syslog, 34),
    (Capability::WakeAlarm, 35),
    (Capability::BlockSuspend, 36),
    (Capability::AuditRead, 37),
    (Capability::Perfmon, 38),
    (Capability::Bpf, 39),
    (Capability::CheckpointRestore, 40),
];
