use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::Arc,
};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    CgroupJoin, Container, UserNamespace,
    child::Channel,
    container::Description,
    exec::{ALL_BUT_USER, root_of},
    hooks::Hooks,
    plan::{Traits, program_name},
    root::read_inside,
    seccomp::Seccomp,
    state::Facts,
    user::{Accounts, LARGEST_ACCOUNTS, identify},
};

/// A container that another process has made and started.
#[derive(Debug)]
pub struct AttachRequest<'a> {
    /// Its id, for error messages.
    pub id: &'a str,
    /// Its bundle, for its hooks.
    pub bundle: &'a Path,
    /// Its first process.
    pub pid: i32,
    /// The same, opened: that it is the right one is the caller's to see to.
    pub pidfd: OwnedFd,
    /// What it was made from.
    pub spec: &'a Spec,
    /// As in [`CreateRequest`](crate::CreateRequest).
    pub merge_image_groups: bool,
    /// Of one that waits for its start: how to start it.
    pub start: Option<StartRequest>,
}

/// A start of a container that another process has made ([`create_detached`](crate::create_detached)).
#[derive(Debug)]
pub struct StartRequest {
    /// A connection to the socket on which its process waits ([`Detached::start`](crate::Detached)).
    pub connection: OwnedFd,
    /// Its cgroup, for hooks that are run in it.
    pub cgroup: Option<CgroupJoin>,
    /// What [`Container::late_steps`] said when it was made.
    pub late_steps: Vec<(u32, String)>,
}

/// Gets hold of a container to execute further processes in it ([`Container::exec`]), to send signals to its first one, or,
/// with a [`StartRequest`], to start it ([`Container::start`]). Dropping this ends nothing; one that was not started waits
/// on.
///
/// # Errors
///
/// `FailedPrecondition` when it has ended.
pub fn attach(request: AttachRequest<'_>) -> Result<Container> {
    let id = request.id.to_owned();
    find(request).step(|| format!("container {id}"))
}

fn find(request: AttachRequest<'_>) -> Result<Container> {
    let AttachRequest { id, bundle, pid, pidfd, spec, merge_image_groups, start } = request;
    let Some(process) = spec.process() else {
        return Err(Error::invalid("the specification has no process"));
    };
    let root = root_of(pid, &pidfd)?;
    let read =
        |path: &str| Ok::<_, Error>(read_inside(root.as_fd(), Path::new(path), LARGEST_ACCOUNTS)?.unwrap_or_default());
    let accounts = Accounts { passwd: read("etc/passwd")?, group: read("etc/group")? };
    let identity = identify(process.user(), &accounts, merge_image_groups)?;
    let lists = |kind: LinuxNamespaceType| {
        let mut namespaces = spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten();
        namespaces.any(|namespace| namespace.typ() == kind)
    };
    let users = || UserNamespace::open(Path::new(&format!("/proc/{pid}/ns/user"))).map(Arc::new);
    let hooks = Hooks::of(spec)?;
    let (channel, own, late) = match start {
        Some(StartRequest { connection, cgroup, late_steps }) => {
            let own = hooks.at_start().then(|| (Box::new(process.clone()), cgroup));
            (Some(Channel::of_connection(connection)?), own, late_steps)
        }
        None => (None, None, Vec::new()),
    };
    let description = Description {
        id: id.to_owned(),
        facts: Facts::new(id, bundle.to_owned(), spec),
        hooks,
        own,
        warnings: Vec::new(),
        program: program_name(process),
        late,
        seccomp: Seccomp::of(spec)?,
        traits: Traits::of(spec)?,
        kinds: if lists(LinuxNamespaceType::Time) { ALL_BUT_USER | libc::CLONE_NEWTIME } else { ALL_BUT_USER },
        identity,
        user: process.user().clone(),
        merge_image_groups,
        user_namespace: lists(LinuxNamespaceType::User).then(users).transpose()?,
    };
    Ok(Container::attached(pid, pidfd, channel, description))
}
