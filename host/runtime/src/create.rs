use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::DirBuilderExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use wharf_crash_points::point;
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    CgroupJoin, Container, PodNamespaces, ProcessStdio, Root, UserNamespace,
    child::{Op, Program, spawn},
    conduct::{Conducted, Goal, conduct, end},
    container::Description,
    exec::ALL_BUT_USER,
    hooks::Hooks,
    namespaces::finish,
    net_devices::NetDevices,
    plan::{
        MountPlan, Namespaces, Prepared, ProcessPlan, Traits, c_string, mount_label, plan_devices, plan_folders,
        plan_masks, plan_mounts, plan_names, plan_sysctls, program_candidates, program_name, refuse_spec,
    },
    seccomp::Seccomp,
    state::Facts,
    user::{Accounts, Identity, LARGEST_ACCOUNTS, identify},
};

/// Less than the shim is waited for, so that the step that takes longer has its name told.
const DEADLINE: Duration = Duration::from_secs(20);

/// A container to make.
#[derive(Debug)]
pub struct CreateRequest<'a> {
    /// Its id, for error messages.
    pub id: &'a str,
    /// Its folder on the host. The root is attached at `rootfs` in it (made when missing), in the container's own
    /// mount namespace only.
    pub bundle: &'a Path,
    /// The OCI specification. `process.user.username`, when set (`user`, `user:group`, `uid`, `uid:gid`), overrides
    /// `uid` and `gid` by the root's own `/etc/passwd` and `/etc/group`.
    ///
    /// A namespace listed with a path is joined; one listed without joins the pod's, or is new where the pod has
    /// none; one that is not listed stays the caller's. A mount namespace must be listed and is always new.
    pub spec: &'a Spec,
    /// The root: used up, also by a failure.
    pub root: Root,
    /// Sources of bind mounts that are no paths of the host, by the mounts' destinations.
    pub sources: BTreeMap<PathBuf, Root>,
    /// The pod's namespaces.
    pub namespaces: &'a PodNamespaces,
    /// What [`user_namespace`](crate::user_namespace()) finds in `spec`. The root must be made for it
    /// ([`assemble_idmapped_root`](crate::assemble_idmapped_root)) or belong to its users already.
    pub user_namespace: Option<Arc<UserNamespace>>,
    /// The cgroup to join.
    pub cgroup: Option<CgroupJoin>,
    /// Whether the groups that `/etc/group` lists for the user named by `username` are added (CRI's `Merge`).
    pub merge_image_groups: bool,
    /// Folders that are made in the root where they are missing, before anything is mounted.
    pub folders: &'a [PathBuf],
    /// Where its first process reads and writes.
    pub stdio: ProcessStdio,
}

/// Makes a container up to the point before its program: namespaces, cgroup, mounts, devices, credentials. It stands
/// there until [`Container::start`]; when the caller dies before, so does it.
///
/// The process is a child of the calling process, which reaps it (`waitid(P_PIDFD)`). On an error nothing of it is
/// left and it has been reaped. What this crate does not do
/// is refused with `Unsupported` and the field's name. Gives up after 20 seconds, naming the step.
pub fn create(request: CreateRequest<'_>) -> Result<Container> {
    let id = request.id.to_owned();
    make(request, None).step(|| format!("container {id}"))
}

/// How a container is made that its maker does not wait for: see [`create_detached`].
#[derive(Debug)]
pub struct Detached {
    /// A listening Unix socket (`SOCK_SEQPACKET`) on which the process waits for its start.
    pub start: OwnedFd,
    /// The directory where the root is attached, in place of `rootfs` in the bundle; made when missing.
    pub root_at: PathBuf,
    /// So many of the caller's descriptors, from 3 on, stay open in the process.
    pub preserved_fds: u32,
    /// Whether the host's root cannot be pivoted away, as on an initramfs. The container is then kept in by `chroot`
    /// alone: the host's mounts lie beneath its root.
    pub no_pivot: bool,
}

/// As [`create()`], for a maker that ends before the start, as an OCI command line does: once [`Container::detach`] was
/// called the process waits on a socket for whoever starts it. Until then it ends with its maker.
pub fn create_detached(request: CreateRequest<'_>, detached: Detached) -> Result<Container> {
    let id = request.id.to_owned();
    make(request, Some(detached)).step(|| format!("container {id}"))
}

fn make(request: CreateRequest<'_>, detached: Option<Detached>) -> Result<Container> {
    let CreateRequest {
        id,
        bundle,
        spec,
        root,
        sources,
        namespaces,
        user_namespace,
        cgroup,
        merge_image_groups,
        folders,
        stdio,
    } = request;
    refuse_spec(spec)?;
    let Some(process) = spec.process() else {
        return Err(Error::invalid("the specification has no process"));
    };
    check_user_namespace(spec, user_namespace.is_some())?;
    let user = user_namespace.as_deref();
    let stdio = Prepared::new(process, stdio)?;
    let identity = identify_in(&root, process.user(), merge_image_groups)?;
    let pod = namespaces;
    let namespaces = Namespaces::of(spec, pod)?;
    let shared_memory = pod.shared_memory.as_deref().filter(|_| namespaces.is_pods(libc::CLONE_NEWIPC));
    let seccomp = Seccomp::of(spec)?;
    let devices = NetDevices::of(spec, namespaces.has(libc::CLONE_NEWNET))?;
    let (hooks, facts) = (Hooks::of(spec)?, Facts::new(id, bundle.to_owned(), spec));
    let traits = Traits::of(spec)?;
    let seccomp_too = seccomp.as_ref();
    let plan = ProcessPlan { process, identity: &identity, user, seccomp: seccomp_too, traits: &traits, program: None };
    let kinds = if namespaces.has(libc::CLONE_NEWTIME) { ALL_BUT_USER | libc::CLONE_NEWTIME } else { ALL_BUT_USER };
    let place = place(detached.as_ref().map_or_else(|| bundle.join("rootfs"), |detached| detached.root_at.clone()))?;
    let has = [libc::CLONE_NEWCGROUP, libc::CLONE_NEWNET, libc::CLONE_NEWIPC, libc::CLONE_NEWUTS]
        .into_iter()
        .filter(|kind| namespaces.has(*kind))
        .fold(0, |all, kind| all | kind);

    // What the container's process does before and after its root is there, and what puts the root together: the same
    // process, unless it is in a user namespace. There it may do less than that takes, and mounts of its own making would
    // be its own to change: another process does it, in the mount namespace that the first one then copies.
    let (mut program, mut inside, mut after) = (Program::default(), Program::default(), Program::default());
    plan_names(spec, &namespaces, &mut inside)?;
    if namespaces.is_new(libc::CLONE_NEWNET) {
        inside.step("bring up the loopback", Op::Loopback);
    }
    inside.step("umask", Op::Umask(0));
    inside.step("keep mounts inside", Op::SlaveMounts);
    inside.step("attach the root", Op::AttachRoot { at: place });
    plan_folders(folders, &mut inside)?;
    let has_cgroup_namespace = has & libc::CLONE_NEWCGROUP != 0;
    let label = mount_label(spec)?;
    let label = label.as_deref();
    let mounts = MountPlan { root: root.as_fd(), sources: &sources, user, has_cgroup_namespace, label, shared_memory };
    let late = plan_mounts(spec, mounts, &mut inside)?;
    plan_devices(spec, user, &mut inside)?;
    plan.make_directory(&mut inside)?;

    plan.begin(&mut program);
    let own_cgroup = cgroup.as_ref().filter(|_| hooks.at_start()).map(CgroupJoin::try_clone).transpose()?;
    let cgroup_too = cgroup.as_ref().filter(|_| user.is_some()).map(CgroupJoin::try_clone).transpose()?;
    let born_in = join(cgroup, &mut program)?;
    match stdio {
        stdio if user.is_none() => plan.stdio(stdio, &mut inside)?,
        Prepared::New(size) => {
            plan.terminal_for(size, &mut inside, &mut after)?;
            plan.outside(Prepared::New(size), &mut program)?;
        }
        stdio => drop(plan.outside(stdio, &mut program)?),
    }
    let flags = namespaces.plan(user_namespace.as_ref(), &mut program)?;
    program.step("start a session", Op::Session);

    if let Some(linux) = spec.linux() {
        let root = user.map(UserNamespace::root).transpose()?.map(|(uid, _)| uid);
        plan_sysctls(linux.sysctl().iter().flatten(), |kind| has & kind != 0, root, &mut inside)?;
    }
    plan_masks(spec, &mut inside)?;
    for (name, op) in late {
        inside.step(name, op);
    }
    if spec.root().as_ref().and_then(|root| root.readonly()) == Some(true) {
        inside.step("make the root read-only", Op::ReadonlyRoot);
    }
    let before_root = BeforeRoot { devices: &devices, hooks: &hooks, facts: &facts };
    if before_root.has_any() {
        inside.step("wait for the hooks", Op::Ready);
    }
    let no_pivot = detached.as_ref().is_some_and(|detached| detached.no_pivot);
    inside.step("change the root", if no_pivot { Op::MoveRoot } else { Op::Pivot });
    inside.root = Some(inside.adopt(root.into_mount())?);

    plan_root_propagation(spec, &mut after)?;
    let became = plan.become_user(&mut after)?;
    if detached.is_some() {
        // The one who waits for this hears of it, rather than who starts it.
        after.step("look for the program", Op::Look { candidates: program_candidates(process)? });
    }
    after.step("wait for the start", Op::Ready);
    if let Some(detached) = detached {
        program.start = Some(program.adopt(detached.start)?);
        program.preserved = detached.preserved_fds;
        after.step("wait for who starts it", Op::AwaitStart);
    }
    plan.execute(&became, &mut after)?;

    let name = program_name(process);
    let deadline = Instant::now() + DEADLINE;
    let child = match user {
        None => {
            program.append(inside);
            program.append(after);
            let born = spawn(&program, flags, born_in)?;
            point!("runtime.create.cloned");
            let child = conduct(&program, born, Goal::Ready, deadline, &name)?;
            let (pid, pidfd) = (child.pid, child.pidfd.try_clone().step(|| "duplicate a pidfd".into())?);
            before_root.pass((pid, pidfd.as_fd()), child, &program, &name)?
        }
        Some(user) => {
            program.step("wait for the root", Op::Ready);
            program.step("take the mounts for its own", Op::OwnMounts);
            program.append(after);
            let waiting = conduct(&program, spawn(&program, flags, born_in)?, Goal::Ready, deadline, &name)?;
            match build_for(&waiting, user, inside, cgroup_too, &before_root) {
                Ok((terminal, more)) => {
                    point!("runtime.create.built");
                    let mut child = waiting.go_on(&program, Goal::Ready, Instant::now() + DEADLINE, &name)?;
                    child.terminal = terminal;
                    child.warnings.extend(more);
                    child
                }
                Err(error) => {
                    end(waiting.pidfd.as_fd(), "a process whose root could not be put together");
                    return Err(error);
                }
            }
        }
    };
    Ok(Container::new(
        child,
        Description {
            id: id.to_owned(),
            facts,
            own: hooks.at_start().then(|| (Box::new(process.clone()), own_cgroup)),
            hooks,
            warnings: became.warnings,
            program: name,
            late: program.late(),
            seccomp,
            traits,
            kinds,
            user: process.user().clone(),
            identity,
            merge_image_groups,
            user_namespace,
        },
    ))
}

/// Puts the root of a container together in the namespaces of its process, which waits: the one process in them that is in
/// our own user namespace. Returns the terminal's master, and what was clamped.
fn build_for(
    waiting: &Conducted,
    user: &UserNamespace,
    inside: Program,
    cgroup: Option<CgroupJoin>,
    before_root: &BeforeRoot<'_>,
) -> Result<(Option<OwnedFd>, Vec<String>)> {
    let (uid, gid) = user.root()?;
    let mut program = Program::default();
    program.step("reset signals", Op::ResetSignals);
    program.step("hide from other processes", Op::NotDumpable);
    let born_in = join(cgroup, &mut program)?;
    let namespace = program.adopt(waiting.pidfd.try_clone().step(|| "duplicate a pidfd".into())?)?;
    program.step("join the process's namespaces", Op::Enter { namespace, kinds: ALL_BUT_USER });
    program.step("clone into them", Op::Fork { flags: 0 });
    program.step(format!("make files as {uid}:{gid}"), Op::MakeFilesAs { uid, gid });
    program.append(inside);
    program.step("say that the root is there", Op::Ready);
    program.step("end", Op::Exit);
    let builder = conduct(&program, spawn(&program, 0, born_in)?, Goal::Ready, Instant::now() + DEADLINE, "")?;
    let of = (waiting.pid, waiting.pidfd.as_fd());
    let mut builder = before_root.pass(of, builder, &program, "")?;
    let made = (builder.terminal.take(), std::mem::take(&mut builder.warnings));
    finish(builder);
    Ok(made)
}

/// What the caller does while the one that puts the root together waits, just before that becomes the container's own.
struct BeforeRoot<'a> {
    devices: &'a NetDevices,
    hooks: &'a Hooks,
    facts: &'a Facts,
}

impl BeforeRoot<'_> {
    fn has_any(&self) -> bool {
        self.hooks.at_create() || !self.devices.is_empty()
    }

    /// Does it, and lets that one go on to its next wait. `of` is the container's process.
    fn pass(&self, of: (i32, BorrowedFd<'_>), waiting: Conducted, program: &Program, name: &str) -> Result<Conducted> {
        if !self.has_any() {
            return Ok(waiting);
        }
        // Hooks find the interfaces where they will be.
        if let Err(error) = self.devices.move_to(of.0).and_then(|()| self.hooks.create(self.facts, of.0, of.1)) {
            end(waiting.pidfd.as_fd(), "a process whose interfaces or hooks failed");
            return Err(error);
        }
        waiting.go_on(program, Goal::Ready, Instant::now() + DEADLINE, name)
    }
}

/// Both or neither.
fn check_user_namespace(spec: &Spec, given: bool) -> Result<()> {
    let mut listed = spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten();
    let listed = listed.any(|namespace| namespace.typ() == LinuxNamespaceType::User);
    match (listed, given) {
        (true, false) => Err(Error::internal("linux.namespaces lists user, but none was opened")),
        (false, true) => Err(Error::internal("a user namespace is given, but linux.namespaces does not list user")),
        _ => Ok(()),
    }
}

/// Of the root itself, once it is `/`: private is what it is anyway.
fn plan_root_propagation(spec: &Spec, program: &mut Program) -> Result<()> {
    let (propagation, recursive) =
        match spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or("") {
            "" | "private" | "rprivate" => return Ok(()),
            "shared" => (libc::MS_SHARED, false),
            "rshared" => (libc::MS_SHARED, true),
            "slave" => (libc::MS_SLAVE, false),
            "rslave" => (libc::MS_SLAVE, true),
            "unbindable" => (libc::MS_UNBINDABLE, false),
            "runbindable" => (libc::MS_UNBINDABLE, true),
            other => return Err(Error::invalid(format!("linux.rootfsPropagation {other:?} is unknown"))),
        };
    program.step("set the root's propagation", Op::RootPropagation { propagation, recursive });
    Ok(())
}

/// Adds the step that joins a cgroup's v1 hierarchies; the v2 one is for the clone.
pub(crate) fn join(cgroup: Option<CgroupJoin>, program: &mut Program) -> Result<Option<crate::sys::RawFd>> {
    let Some(CgroupJoin { tasks, unified }) = cgroup else { return Ok(None) };
    let tasks = tasks.into_iter().map(|file| program.adopt(file)).collect::<Result<Vec<_>>>()?;
    if !tasks.is_empty() {
        program.step("join the cgroup", Op::Join(tasks));
    }
    unified.map(|directory| program.adopt(directory)).transpose()
}

fn identify_in(root: &Root, user: &oci_spec::runtime::User, merge: bool) -> Result<Identity> {
    let read = |path: &str| Ok::<_, Error>(root.read(Path::new(path), LARGEST_ACCOUNTS)?.unwrap_or_default());
    let passwd = read("etc/passwd")?;
    let named = user.username().as_ref().is_some_and(|name| !name.is_empty());
    let group = if named { read("etc/group")? } else { Vec::new() };
    identify(user, &Accounts { passwd, group }, merge)
}

/// Where the root is attached.
fn place(path: PathBuf) -> Result<std::ffi::CString> {
    let step = || format!("make {}", path.display());
    match fs::DirBuilder::new().mode(0o711).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error).step(step),
        _ => {}
    }
    if !path.is_absolute() {
        return Err(Error::invalid(format!("the path of the root {path:?} is not absolute")));
    }
    c_string("path", path)
}
