//! User namespaces: made ahead of what stands in them, so that layers and volumes can be mapped for them before there
//! is a container.

mod mappings;

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    PodNamespaces,
    child::{Op, Program, spawn},
    conduct::{Conducted, Goal, conduct},
    namespaces::{finish, open_namespace},
    sys,
};

pub use self::mappings::{IdMapping, IdMappings};

const DEADLINE: Duration = Duration::from_secs(30);

/// A user namespace, held open by fd, and who its users are outside.
#[derive(Debug)]
pub struct UserNamespace {
    fd: OwnedFd,
    mappings: IdMappings,
}

/// The user namespace that a specification asks for: a namespace listed with a path is opened; one listed without is the
/// pod's, or is made from `linux.uidMappings` and `gidMappings` where the pod has none. `None` where none is listed.
///
/// # Errors
///
/// `InvalidArgument` where list and mappings contradict each other, else what the failing step says.
pub fn user_namespace(spec: &Spec, pod: &PodNamespaces) -> Result<Option<Arc<UserNamespace>>> {
    let linux = spec.linux().as_ref();
    let list = |list: Option<&Option<Vec<_>>>| list.and_then(|list| list.clone()).unwrap_or_default();
    let uids = list(linux.map(oci_spec::runtime::Linux::uid_mappings));
    let gids = list(linux.map(oci_spec::runtime::Linux::gid_mappings));
    let given = !uids.is_empty() || !gids.is_empty();
    let listed = linux.and_then(|linux| linux.namespaces().as_ref()).into_iter().flatten();
    let mut listed = listed.filter(|namespace| namespace.typ() == LinuxNamespaceType::User);
    let Some(entry) = listed.next_back() else {
        return if given {
            Err(Error::invalid("linux.uidMappings and gidMappings are set, but linux.namespaces does not list user"))
        } else {
            Ok(None)
        };
    };
    let there = match (entry.path().as_ref().filter(|path| !path.as_os_str().is_empty()), &pod.user) {
        (Some(path), _) => Arc::new(UserNamespace::open(path)?),
        (None, Some(pods)) => pods.clone(),
        (None, None) => {
            let mappings = IdMappings::of_spec(&uids, &gids).step(|| "linux.uidMappings, gidMappings".into())?;
            return UserNamespace::create(mappings).map(Arc::new).map(Some);
        }
    };
    if given && !IdMappings::of_spec(&uids, &gids)?.same(&there.mappings) {
        return Err(Error::invalid(
            "linux.uidMappings and gidMappings are not those of the user namespace that is joined",
        ));
    }
    Ok(Some(there))
}

// === impl UserNamespace ===

impl UserNamespace {
    /// Makes a user namespace by a short-lived child, which is gone when this returns. Some 0.3 ms.
    ///
    /// # Errors
    ///
    /// `Exhausted` where the node allows no more of them.
    pub fn create(mappings: IdMappings) -> Result<Self> {
        let child = Born::new(&mappings, 0).step(|| "make a user namespace".into())?;
        let made = child.user_namespace(mappings);
        child.end();
        made
    }

    /// Opens a user namespace by its path, and asks the kernel who its users are.
    pub fn open(path: &Path) -> Result<Self> {
        let fd = open_namespace(path)?;
        let step = || format!("user namespace {}", path.display());
        let kind = sys::namespace_kind(fd.as_raw_fd()).map_err(io::Error::from).step(step)?;
        if kind != libc::CLONE_NEWUSER {
            return Err(Error::invalid(format!("{}: it is a namespace of another kind", step())));
        }
        let mut program = Program::default();
        program.step("reset signals", Op::ResetSignals);
        let namespace = program.adopt(fd.try_clone().step(step)?)?;
        program.step("join it", Op::Enter { namespace, kinds: libc::CLONE_NEWUSER });
        program.step("wait until it is looked at", Op::Ready);
        program.step("end", Op::Exit);
        let child = spawn(&program, 0, None)?;
        let child = conduct(&program, child, Goal::Ready, Instant::now() + DEADLINE, "").step(step)?;
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.pid));
        let texts = read("uid_map").and_then(|uids| Ok((uids, read("gid_map")?)));
        finish(child);
        let (uids, gids) = texts.step(step)?;
        let mappings = IdMappings::parse(&uids, &gids)
            .ok_or_else(|| Error::internal(format!("{}: its id mappings cannot be read", step())))?;
        let mappings = IdMappings::new(mappings.uids().to_vec(), mappings.gids().to_vec()).step(step)?;
        Ok(Self { fd, mappings })
    }

    /// Who its users are outside.
    pub fn mappings(&self) -> &IdMappings {
        &self.mappings
    }

    /// The namespace.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Its root, outside: user and group.
    pub fn root(&self) -> Result<(u32, u32)> {
        Ok((self.mappings.host_uid(0)?, self.mappings.host_gid(0)?))
    }

    pub(crate) fn clone_fd(&self) -> Result<OwnedFd> {
        self.fd.try_clone().step(|| "duplicate the user namespace".into())
    }
}

/// A child in a new user namespace, with new namespaces that this one owns.
#[derive(Debug)]
pub(crate) struct Born(Conducted);

impl Born {
    /// `kinds` are made inside, once it is the root there.
    pub(crate) fn new(mappings: &IdMappings, kinds: i32) -> Result<Self> {
        let mut program = Program::default();
        program.step("reset signals", Op::ResetSignals);
        program.step("wait for the mappings", Op::Ready);
        if kinds != 0 {
            program.step("become the root of the user namespace", Op::BecomeRoot);
            program.step("make namespaces in the user namespace", Op::Unshare(kinds));
        }
        program.step("wait until they are open", Op::Ready);
        program.step("end", Op::Exit);
        let deadline = Instant::now() + DEADLINE;
        let child = spawn(&program, u64::from(libc::CLONE_NEWUSER.cast_unsigned()), None).map_err(explain)?;
        let child = conduct(&program, child, Goal::Ready, deadline, "")?;
        if let Err(error) = write(&child, mappings) {
            finish(child);
            return Err(error);
        }
        Ok(Self(child.go_on(&program, Goal::Ready, deadline, "")?))
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.pid
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.0.pidfd.as_fd()
    }

    fn open(&self, name: &str) -> Result<OwnedFd> {
        open_namespace(Path::new(&format!("/proc/{}/ns/{name}", self.0.pid)))
    }

    /// The new user namespace.
    pub(crate) fn user_namespace(&self, mappings: IdMappings) -> Result<UserNamespace> {
        Ok(UserNamespace { fd: self.open("user")?, mappings })
    }

    /// Ends it and waits for that.
    pub(crate) fn end(self) {
        finish(self.0);
    }
}

fn write(child: &Conducted, mappings: &IdMappings) -> Result<()> {
    let (uids, gids) = mappings.texts();
    for (name, text) in [("uid_map", uids), ("gid_map", gids)] {
        fs::write(format!("/proc/{}/{name}", child.pid), &text)
            .step(|| format!("write the {name} {:?}", text.trim_end()))?;
    }
    Ok(())
}

fn explain(error: Error) -> Error {
    let full = [Kind::Exhausted, Kind::Internal].contains(&error.kind());
    if full { error.hint("sysctl user.max_user_namespaces may be 0 or reached") } else { error }
}
