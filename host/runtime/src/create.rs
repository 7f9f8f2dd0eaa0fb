use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    time::{Duration, Instant},
};

use oci_spec::runtime::Spec;
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    CgroupJoin, Container, PodNamespaces, ProcessStdio, Root,
    child::{Op, Program, spawn},
    conduct::{Goal, conduct},
    container::Description,
    plan::{
        Namespaces, Prepared, ProcessPlan, c_string, plan_devices, plan_masks, plan_mounts, plan_names, plan_sysctls,
        program_name, refuse_spec,
    },
    user::{Accounts, Identity, LARGEST_ACCOUNTS, identify},
};

const DEADLINE: Duration = Duration::from_secs(30);

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
    /// The pod's namespaces.
    pub namespaces: &'a PodNamespaces,
    /// The cgroup to join.
    pub cgroup: Option<CgroupJoin>,
    /// Whether the groups that `/etc/group` lists for the user named by `username` are added (CRI's `Merge`).
    pub merge_image_groups: bool,
    /// Where its first process reads and writes.
    pub stdio: ProcessStdio,
}

/// Makes a container up to the point before its program: namespaces, cgroup, mounts, devices, credentials. It stands
/// there until [`Container::start`]; when the caller dies before, so does it.
///
/// The process is a child of the calling process, which reaps it (`waitid(P_PIDFD)`). On an error nothing of it is
/// left and it has been reaped. What this crate does not do yet (user namespaces, seccomp, AppArmor, SELinux, hooks)
/// is refused with `Unsupported` and the field's name. Gives up after 30 seconds, naming the step.
pub fn create(request: CreateRequest<'_>) -> Result<Container> {
    let id = request.id.to_owned();
    make(request).step(|| format!("container {id}"))
}

fn make(request: CreateRequest<'_>) -> Result<Container> {
    let CreateRequest { id, bundle, spec, root, namespaces, cgroup, merge_image_groups, stdio } = request;
    refuse_spec(spec)?;
    let Some(process) = spec.process() else {
        return Err(Error::invalid("the specification has no process"));
    };
    let stdio = Prepared::new(process, stdio)?;
    let identity = identify_in(&root, process.user(), merge_image_groups)?;
    let pod = namespaces;
    let namespaces = Namespaces::of(spec, pod)?;
    let shared_memory = pod.shared_memory.as_ref().filter(|_| namespaces.is_pods(libc::CLONE_NEWIPC));
    let plan = ProcessPlan { process, identity: &identity };

    let mut program = Program::default();
    program.root = Some(program.adopt(root.into_mount())?);
    let place = place(bundle)?;

    plan.begin(&mut program);
    let born_in = join(cgroup, &mut program)?;
    let has = [libc::CLONE_NEWCGROUP, libc::CLONE_NEWNET, libc::CLONE_NEWIPC, libc::CLONE_NEWUTS]
        .into_iter()
        .filter(|kind| namespaces.has(*kind))
        .fold(0, |all, kind| all | kind);
    let new_network = namespaces.is_new(libc::CLONE_NEWNET);
    let mut names = Program::default();
    plan_names(spec, &namespaces, &mut names)?;
    let flags = namespaces.plan(&mut program)?;
    program.step("start a session", Op::Session);
    program.append(names);
    if new_network {
        program.step("bring up the loopback", Op::Loopback);
    }
    program.step("umask", Op::Umask(0));
    program.step("keep mounts inside", Op::SlaveMounts);
    program.step("attach the root", Op::AttachRoot { at: place });
    let late = plan_mounts(spec, has & libc::CLONE_NEWCGROUP != 0, shared_memory, &mut program)?;
    plan_devices(spec, &mut program)?;
    plan.make_directory(&mut program)?;
    plan.stdio(stdio, &mut program)?;
    if let Some(linux) = spec.linux() {
        plan_sysctls(linux.sysctl().iter().flatten(), |kind| has & kind != 0, &mut program)?;
    }
    plan_masks(spec, &mut program)?;
    for (name, op) in late {
        program.step(name, op);
    }
    if spec.root().as_ref().and_then(|root| root.readonly()) == Some(true) {
        program.step("make the root read-only", Op::ReadonlyRoot);
    }
    program.step("change the root", Op::Pivot);
    match spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or("") {
        "shared" | "rshared" => program.step("share the root", Op::ShareRoot),
        "" | "private" | "rprivate" | "slave" | "rslave" | "unbindable" | "runbindable" => {}
        other => return Err(Error::invalid(format!("linux.rootfsPropagation {other:?} is unknown"))),
    }
    let warnings = plan.become_user(&mut program)?;
    program.step("wait for the start", Op::Ready);
    plan.execute(&mut program)?;

    let name = program_name(process);
    let child = spawn(&program, flags, born_in)?;
    let child = conduct(&program, child, Goal::Ready, Instant::now() + DEADLINE, &name)?;
    Ok(Container::new(
        child,
        Description {
            id: id.to_owned(),
            warnings,
            program: name,
            user: process.user().clone(),
            identity,
            merge_image_groups,
        },
    ))
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
fn place(bundle: &Path) -> Result<std::ffi::CString> {
    let path = bundle.join("rootfs");
    let step = || format!("make {}", path.display());
    match fs::DirBuilder::new().mode(0o711).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error).step(step),
        _ => {}
    }
    if !path.is_absolute() {
        return Err(Error::invalid(format!("the bundle's path {bundle:?} is not absolute")));
    }
    c_string("path", path)
}
