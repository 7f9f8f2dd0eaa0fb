use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    IdMappings, SharedMemory, UserNamespace,
    child::{Op, Program, spawn},
    conduct::{Conducted, Goal, bury, conduct, end},
    plan::{c_string, plan_sysctls},
    sys::{self, Errno},
    user_namespace::Born,
};

const NSFS_MAGIC: i64 = 0x6e73_6673;
const DEADLINE: Duration = Duration::from_secs(30);

/// The namespaces that a pod's containers share, held open by fd: they live as long as a process or an fd is in them.
#[derive(Debug, Default)]
pub struct PodNamespaces {
    /// The network namespace; `None`: each container's own or the host's, as its specification says.
    pub net: Option<OwnedFd>,
    /// System V IPC and POSIX message queues.
    pub ipc: Option<OwnedFd>,
    /// Host and domain name.
    pub uts: Option<OwnedFd>,
    /// Process ids.
    pub pid: Option<OwnedFd>,
    /// What a container that joins the pod's IPC namespace gets for a tmpfs at `/dev/shm`; `None`: one of its own.
    pub shared_memory: Option<Arc<SharedMemory>>,
    /// Users, who own the other new ones.
    pub user: Option<Arc<UserNamespace>>,
}

// === impl PodNamespaces ===

impl PodNamespaces {
    /// The same namespaces, for a container whose processes are its own.
    pub fn without_pids(&self) -> Result<Self> {
        let copy = |fd: &Option<OwnedFd>| fd.as_ref().map(OwnedFd::try_clone).transpose();
        let step = || "duplicate a namespace of the pod".into();
        Ok(Self {
            net: copy(&self.net).step(step)?,
            ipc: copy(&self.ipc).step(step)?,
            uts: copy(&self.uts).step(step)?,
            pid: None,
            shared_memory: self.shared_memory.clone(),
            user: self.user.clone(),
        })
    }
}

/// Which namespaces to make, and what to set in them.
#[derive(Clone, Debug, Default)]
pub struct PodNamespacesRequest {
    /// The host name, set in the new UTS namespace. Without `uts` it is not used.
    pub hostname: Option<String>,
    /// Make a network namespace; its loopback is brought up.
    pub net: bool,
    /// Make an IPC namespace.
    pub ipc: bool,
    /// Make a UTS namespace.
    pub uts: bool,
    /// Make a user namespace with these mappings, first of all, so that it owns the others.
    pub user: Option<IdMappings>,
    /// Kernel settings to write inside, by their dotted or slashed names. Only those that belong to one of the new
    /// namespaces are taken; any other is refused.
    pub sysctls: BTreeMap<String, String>,
}

/// Makes namespaces by short-lived children, which are gone when this returns. About half a millisecond with a network
/// namespace. Asked for nothing, it makes nothing.
pub fn create_pod_namespaces(request: &PodNamespacesRequest) -> Result<PodNamespaces> {
    make(request).step(|| "make the pod's namespaces".into())
}

fn make(request: &PodNamespacesRequest) -> Result<PodNamespaces> {
    let wanted =
        [(request.net, libc::CLONE_NEWNET), (request.ipc, libc::CLONE_NEWIPC), (request.uts, libc::CLONE_NEWUTS)];
    let kinds = wanted.iter().filter(|(wanted, _)| *wanted).fold(0, |all, (_, kind)| all | kind);
    let mut settings = Program::default();
    if let Some(name) = request.hostname.as_deref().filter(|name| request.uts && !name.is_empty()) {
        settings.step(format!("set hostname {name:?}"), Op::HostName(c_string("hostname", name)?.into_bytes()));
    }
    if request.net {
        settings.step("bring up the loopback", Op::Loopback);
    }
    let root = request.user.as_ref().map(|mappings| mappings.host_uid(0)).transpose()?;
    plan_sysctls(&request.sysctls, |kind| kinds & kind != 0, root, &mut settings)?;
    match &request.user {
        Some(mappings) => make_inside(request, mappings.clone(), kinds, settings),
        None if kinds == 0 => Ok(PodNamespaces::default()),
        None => {
            let mut program = Program::default();
            program.step("reset signals", Op::ResetSignals);
            program.append(settings);
            run(program, u64::from(kinds.cast_unsigned()), |pid| open(request, None, pid))
        }
    }
}

/// The namespaces that a user namespace owns are made by its root, and set up by us, for only we may write every setting.
fn make_inside(
    request: &PodNamespacesRequest,
    mappings: IdMappings,
    kinds: i32,
    settings: Program,
) -> Result<PodNamespaces> {
    let owner = Born::new(&mappings, kinds)?;
    let made = (|| {
        let namespaces = open(request, Some(Arc::new(owner.user_namespace(mappings)?)), owner.pid())?;
        if !settings.steps.is_empty() {
            let mut program = Program::default();
            program.step("reset signals", Op::ResetSignals);
            let pidfd = owner.pidfd().try_clone_to_owned().step(|| "duplicate a pidfd".into())?;
            let namespace = program.adopt(pidfd)?;
            program.step("join the pod's namespaces", Op::Enter { namespace, kinds });
            program.append(settings);
            run(program, 0, |_| Ok(()))?;
        }
        Ok(namespaces)
    })();
    owner.end();
    made
}

/// Runs a child to the end of its program, and looks at it there.
pub(crate) fn run<T>(mut program: Program, flags: u64, look: impl FnOnce(i32) -> Result<T>) -> Result<T> {
    program.step("wait until they are open", Op::Ready);
    program.step("end", Op::Exit);
    let child = spawn(&program, flags, None)?;
    let child = conduct(&program, child, Goal::Ready, Instant::now() + DEADLINE, "")?;
    let seen = look(child.pid);
    finish(child);
    seen
}

/// Ends a child that waits: its word was waited for; hearing that we are gone is one.
pub(crate) fn finish(child: Conducted) {
    drop(child.channel);
    if bury(child.pidfd.as_fd(), "the child that made namespaces", DEADLINE).is_none() {
        end(child.pidfd.as_fd(), "the child that made namespaces");
    }
}

fn open(request: &PodNamespacesRequest, user: Option<Arc<UserNamespace>>, pid: i32) -> Result<PodNamespaces> {
    let open = |wanted: bool, name: &str| {
        let path = format!("/proc/{pid}/ns/{name}");
        wanted.then(|| open_namespace(Path::new(&path))).transpose()
    };
    Ok(PodNamespaces {
        net: open(request.net, "net")?,
        ipc: open(request.ipc, "ipc")?,
        uts: open(request.uts, "uts")?,
        user,
        ..PodNamespaces::default()
    })
}

/// Opens a namespace by its path (`/run/netns/NAME`, `/proc/PID/ns/net`), and refuses a file that is none.
pub fn open_namespace(path: &Path) -> Result<OwnedFd> {
    let step = || format!("open namespace {}", path.display());
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file: OwnedFd = file.step_as(Kind::FailedPrecondition, step)?.into();
    let system = sys::file_system(file.as_raw_fd()).map_err(io::Error::from).step(step)?;
    if system.magic == NSFS_MAGIC { Ok(file) } else { Err(Error::invalid(format!("{}: it is no namespace", step()))) }
}

/// Gives a network namespace a name in the file system (a bind mount on a new empty file), so that CNI plugins and
/// `ip netns` find it and it outlives every process. Makes the directory when it is missing. A path that exists is
/// refused with `AlreadyExists`.
pub fn pin_netns(netns: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let step = || format!("pin the network namespace at {}", path.display());
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).step(step)?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o444).open(path);
    let made = match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::new(Kind::AlreadyExists, format!("{}: the path exists", step())));
        }
        other => other.step(step)?,
    };
    let paths = (|| Ok((fd_path(&netns)?, fd_path(&made)?)))();
    let mounted = paths.and_then(|(source, target)| {
        sys::mount_legacy(&source, &target, c"", libc::MS_BIND, c"").map_err(io::Error::from).step(step)
    });
    if mounted.is_err() {
        let _ = fs::remove_file(path);
    }
    mounted
}

/// Takes the name away. Absent is success.
pub fn unpin_netns(path: &Path) -> Result<()> {
    let step = || format!("unpin the network namespace at {}", path.display());
    let text = c_string("path", path)?;
    loop {
        match sys::unmount(&text) {
            // More than one mount may lie on it.
            Ok(()) => {}
            Err(Errno(libc::EINVAL | libc::ENOENT)) => break,
            Err(errno) => return Err(io::Error::from(errno)).step(step),
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).step(step),
        _ => Ok(()),
    }
}

fn fd_path(fd: &impl std::os::fd::AsRawFd) -> Result<std::ffi::CString> {
    c_string("path", format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
