use std::{os::fd::OwnedFd, sync::Arc};

use oci_spec::runtime::{LinuxNamespaceType as Type, Spec};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::c_string;
use crate::{
    PodNamespaces, UserNamespace,
    child::{Op, Program},
    namespaces::open_namespace,
    time_namespace::{Offset, time_namespace},
};

/// Which namespaces a container gets: new ones, ones it joins; the rest are the caller's.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    new: i32,
    joined: Vec<(i32, OwnedFd)>,
    /// The kinds among them that are the pod's.
    pods: i32,
}

impl Namespaces {
    /// Reads the specification's list. A namespace with a path is joined, one without is the pod's or new.
    pub(crate) fn of(spec: &Spec, pod: &PodNamespaces) -> Result<Self> {
        let mut namespaces = Self::default();
        for entry in spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten() {
            let (kind, pods) = match entry.typ() {
                Type::Mount => (libc::CLONE_NEWNS, &None),
                Type::Cgroup => (libc::CLONE_NEWCGROUP, &None),
                Type::Uts => (libc::CLONE_NEWUTS, &pod.uts),
                Type::Ipc => (libc::CLONE_NEWIPC, &pod.ipc),
                Type::Pid => (libc::CLONE_NEWPID, &pod.pid),
                Type::Network => (libc::CLONE_NEWNET, &pod.net),
                // Made or opened before, for it decides about much else.
                Type::User => continue,
                Type::Time => (libc::CLONE_NEWTIME, &None),
            };
            if namespaces.has(kind) {
                return Err(Error::invalid(format!("linux.namespaces lists {} twice", entry.typ())));
            }
            match (entry.path().as_ref().filter(|path| !path.as_os_str().is_empty()), pods) {
                (Some(_), _) if kind == libc::CLONE_NEWNS => {
                    return Err(Error::new(Kind::Unsupported, "linux.namespaces[mount].path is not supported"));
                }
                (Some(path), _) => namespaces.joined.push((kind, open_namespace(path)?)),
                (None, Some(fd)) => {
                    let fd = fd.try_clone().step(|| format!("duplicate the pod's {} namespace", entry.typ()))?;
                    namespaces.joined.push((kind, fd));
                    namespaces.pods |= kind;
                }
                (None, None) if kind == libc::CLONE_NEWTIME => {
                    namespaces.joined.push((kind, time_namespace(&offsets(spec)?)?));
                }
                (None, None) => namespaces.new |= kind,
            }
        }
        let made = namespaces.has(libc::CLONE_NEWTIME) && !joins_time(spec);
        if !made && !offsets(spec)?.is_empty() {
            return Err(Error::invalid(
                "linux.timeOffsets is set, but linux.namespaces does not ask for a new time namespace",
            ));
        }
        if namespaces.new & libc::CLONE_NEWNS == 0 {
            return Err(Error::invalid("linux.namespaces does not list mount: a container needs one of its own"));
        }
        Ok(namespaces)
    }

    /// Whether the container has a namespace of this kind that is not the caller's.
    pub(crate) fn has(&self, kind: i32) -> bool {
        self.new & kind != 0 || self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// Whether the container shares the pod's namespace of this kind.
    pub(crate) fn is_pods(&self, kind: i32) -> bool {
        self.pods & kind != 0
    }

    /// Whether a namespace of this kind is made for the container.
    pub(crate) fn is_new(&self, kind: i32) -> bool {
        self.new & kind != 0
    }

    /// Adds the steps that enter and make namespaces, after the cgroup was joined. What remains is given to the first
    /// clone, by its flags.
    ///
    /// With a user namespace everything new is made inside and so belongs to it, but for the mount namespace: the root is
    /// put together in one that belongs to us.
    pub(crate) fn plan(self, user: Option<&Arc<UserNamespace>>, program: &mut Program) -> Result<u64> {
        if let Some(user) = user {
            return self.plan_inside(user, program);
        }
        let birth = u64::from((self.new & !libc::CLONE_NEWCGROUP).cast_unsigned());
        if self.new & libc::CLONE_NEWCGROUP != 0 {
            // Its root is the cgroup that was joined just before.
            program.step("make a cgroup namespace", Op::Unshare(libc::CLONE_NEWCGROUP));
        }
        if join(self.joined, program)? {
            // Who enters a PID namespace sends only its children there.
            program.step("clone into the PID namespace", Op::Fork { flags: birth });
            return Ok(0);
        }
        Ok(birth)
    }

    fn plan_inside(self, user: &UserNamespace, program: &mut Program) -> Result<u64> {
        // Joined while everything is allowed: they need not belong to the user namespace.
        let shares_pids = join(self.joined, program)?;
        let namespace = program.adopt(user.clone_fd()?)?;
        program.step("join the user namespace", Op::Enter { namespace, kinds: libc::CLONE_NEWUSER });
        program.step("become the root of the user namespace", Op::BecomeRoot);
        let own = self.new & !libc::CLONE_NEWNS & !libc::CLONE_NEWPID;
        if own != 0 {
            program.step("make namespaces in the user namespace", Op::Unshare(own));
        }
        let pids = self.new & libc::CLONE_NEWPID;
        if shares_pids || pids != 0 {
            program.step("clone into the PID namespace", Op::Fork { flags: u64::from(pids.cast_unsigned()) });
        }
        Ok(u64::from(libc::CLONE_NEWNS.cast_unsigned()))
    }
}

/// Whether the time namespace is one that is there already.
fn joins_time(spec: &Spec) -> bool {
    let mut listed = spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten();
    listed.any(|namespace| namespace.typ() == Type::Time && namespace.path().is_some())
}

/// How far the clocks of a new time namespace are from the node's.
fn offsets(spec: &Spec) -> Result<Vec<Offset>> {
    let listed = spec.linux().iter().filter_map(|linux| linux.time_offsets().as_ref()).flatten();
    listed
        .map(|(clock, offset)| {
            if !matches!(clock.as_str(), "monotonic" | "boottime") {
                return Err(Error::invalid(format!("linux.timeOffsets[{clock}]: it is monotonic or boottime")));
            }
            let (seconds, nanoseconds) = (offset.secs().unwrap_or_default(), offset.nanosecs().unwrap_or_default());
            if nanoseconds > 999_999_999 {
                return Err(Error::invalid(format!("linux.timeOffsets[{clock}]: nanosecs {nanoseconds}")));
            }
            Ok(Offset { clock: clock.clone(), seconds, nanoseconds })
        })
        .collect()
}

/// Adds the steps that enter namespaces; whether one of PIDs is among them.
fn join(joined: Vec<(i32, OwnedFd)>, program: &mut Program) -> Result<bool> {
    let mut shares_pids = false;
    for (kind, fd) in joined {
        shares_pids |= kind == libc::CLONE_NEWPID;
        let namespace = program.adopt(fd)?;
        program.step(format!("join the {} namespace", name(kind)), Op::Enter { namespace, kinds: kind });
    }
    Ok(shares_pids)
}

/// Adds the steps that set the names of the container's UTS namespace.
pub(crate) fn plan_names(spec: &Spec, namespaces: &Namespaces, program: &mut Program) -> Result<()> {
    let uts = namespaces.has(libc::CLONE_NEWUTS);
    for (field, name, op) in [
        ("hostname", spec.hostname(), Op::HostName as fn(Vec<u8>) -> Op),
        ("domainname", spec.domainname(), Op::DomainName),
    ] {
        let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else { continue };
        if !uts {
            return Err(Error::invalid(format!("{field} is set, but linux.namespaces does not list uts")));
        }
        program.step(format!("set {field} {name:?}"), op(c_string(field, name)?.into_bytes()));
    }
    Ok(())
}

fn name(kind: i32) -> &'static str {
    match kind {
        libc::CLONE_NEWNET => "network",
        libc::CLONE_NEWIPC => "IPC",
        libc::CLONE_NEWUTS => "UTS",
        libc::CLONE_NEWPID => "PID",
        libc::CLONE_NEWTIME => "time",
        _ => "cgroup",
    }
}
