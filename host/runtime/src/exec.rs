use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
    time::{Duration, Instant},
};

use oci_spec::runtime::{ContainerState, Process as ProcessSpec, User};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    CgroupJoin, Container, Process, ProcessStdio, TerminalSize,
    child::{Op, Program, spawn},
    conduct::{Goal, conduct, end},
    container::signal_process,
    create::join,
    plan::{Prepared, ProcessPlan, exec_affinity, program_name, refuse_process},
    resolve_user::numbers,
    root::read_inside,
    seccomp::Seccomp,
    sys::{self, Sys},
    user::{Accounts, Identity, LARGEST_ACCOUNTS, identify},
};

/// As of a container.
const DEADLINE: Duration = Duration::from_secs(20);
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// All namespaces of a container. Entering one that we are in already is allowed (but for user namespaces).
pub(crate) const ALL_BUT_USER: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// A further process for a running container.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// What to run, as whom. `user.username` overrides `uid` and `gid`, and brings the image's groups, as at create.
    pub process: &'a ProcessSpec,
    /// Where it reads and writes.
    pub stdio: ProcessStdio,
    /// The container's cgroup.
    pub cgroup: Option<CgroupJoin>,
}

/// A further process of a running container.
pub(crate) fn exec(container: &Container, request: ExecRequest<'_>, preserved_fds: u32) -> Result<Process> {
    exec_program(container, request, None, ContainerState::Running, preserved_fds)
}

/// The helper joins the cgroup and, in one call, all namespaces; the process that it clones is ours (`CLONE_PARENT`).
/// `path` where what is executed is another than the first argument.
pub(crate) fn exec_program(
    container: &Container,
    request: ExecRequest<'_>,
    path: Option<&Path>,
    status: ContainerState,
    preserved_fds: u32,
) -> Result<Process> {
    let ExecRequest { process, stdio, cgroup } = request;
    refuse_process(process)?;
    let inside = Inside { container };
    let identity = inside.identify(process)?;
    let user = container.user_namespace.as_deref();
    let seccomp = container.seccomp.as_ref();
    let plan = ProcessPlan { process, identity: &identity, user, seccomp, traits: &container.traits, program: path };
    let affinity = exec_affinity(process)?;

    let mut terminal = None;
    let stdio = match Prepared::new(process, stdio)? {
        Prepared::New(size) => {
            let (master, peer) = inside.open_terminal(size).step(|| "open a terminal in the container".into())?;
            terminal = Some(master);
            Prepared::Open(peer)
        }
        other => other,
    };
    let mut program = Program::default();
    program.preserved = preserved_fds;
    plan.begin(&mut program);
    if let Some(processors) = affinity.before {
        program.step("process.execCPUAffinity.initial", Op::Affinity(processors));
    }
    let born_in = join(cgroup, &mut program)?;
    if let Some(processors) = affinity.after {
        program.step("process.execCPUAffinity.final", Op::Affinity(processors));
    }
    let (stdio, terminal_inside) = match user {
        None => (Some(stdio), None),
        Some(_) => (None, plan.outside(stdio, &mut program)?),
    };
    let kinds = if user.is_some() { container.kinds | libc::CLONE_NEWUSER } else { container.kinds };
    let pidfd = container.pidfd.try_clone().step(|| "duplicate the container's pidfd".into())?;
    let namespace = program.adopt(pidfd)?;
    program.step("join the container's namespaces", Op::Enter { namespace, kinds });
    program.step("clone into the container", Op::Fork { flags: 0 });
    program.step("start a session", Op::Session);
    if let Some(stdio) = stdio {
        plan.stdio(stdio, &mut program)?;
    }
    if let Some(terminal) = terminal_inside {
        program.step("make the terminal the controlling one", Op::Control { terminal });
    }
    let became = plan.become_user(&mut program)?;
    plan.execute(&became, &mut program)?;

    let deadline = Instant::now() + DEADLINE;
    let name = path.map_or_else(|| program_name(process), |path| path.to_string_lossy().into_owned());
    let goal = if seccomp.is_some_and(Seccomp::notifies) { Goal::Listener } else { Goal::Executed };
    let mut child = conduct(&program, spawn(&program, 0, born_in)?, goal, deadline, &name)?;
    if let Some(number) = child.listener {
        let given = container.announce((child.pid, child.pidfd.as_fd()), number, status);
        if let Err(error) = given {
            end(child.pidfd.as_fd(), "a process whose seccomp listener nobody takes");
            return Err(error);
        }
        child = child.go_on(&program, Goal::Executed, deadline, &name)?;
    }
    let mut warnings = became.warnings;
    warnings.extend(child.warnings);
    Ok(Process { pid: child.pid, pidfd: child.pidfd, terminal, warnings })
}

/// A look into a running container from outside, by fds that its processes have no hand in.
struct Inside<'a> {
    container: &'a Container,
}

impl Inside<'_> {
    fn identify(&self, process: &ProcessSpec) -> Result<Identity> {
        let (user, first) = (process.user(), &self.container.user);
        if user == first {
            return Ok(self.container.identity.clone());
        }
        identify(user, &self.accounts()?, self.container.merge_image_groups)
    }

    fn accounts(&self) -> Result<Accounts> {
        let root = self.root()?;
        let read = |path: &str| {
            Ok::<_, Error>(read_inside(root.as_fd(), Path::new(path), LARGEST_ACCOUNTS)?.unwrap_or_default())
        };
        Ok(Accounts { passwd: read("etc/passwd")?, group: read("etc/group")? })
    }

    /// The container's root directory. The process is alive after it was opened, so the pid was its own.
    fn root(&self) -> Result<OwnedFd> {
        root_of(self.container.pid, &self.container.pidfd)
    }

    /// A new terminal of the container's devpts: both ends. Everything is looked at by fd before it is opened.
    fn open_terminal(&self, size: Option<TerminalSize>) -> Result<(OwnedFd, OwnedFd)> {
        let root = self.root()?;
        let resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
        let door = owned(sys::open_in(root.as_raw_fd(), c"dev/pts/ptmx", libc::O_PATH, resolve))?;
        let what = sys::stat(door.as_raw_fd()).map_err(io::Error::from).step(|| "look at ptmx".into())?;
        let system = sys::file_system(door.as_raw_fd()).map_err(io::Error::from).step(|| "look at ptmx".into())?;
        if system.magic != DEVPTS_MAGIC || what.device != (5, 2) {
            return Err(Error::new(Kind::FailedPrecondition, "the container's /dev/pts is no devpts"));
        }
        let path = format!("/proc/self/fd/{}", door.as_raw_fd());
        let master = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path);
        let master: OwnedFd = master.step(|| "open ptmx".into())?.into();
        sys::unlock(master.as_raw_fd()).map_err(io::Error::from).step(|| "unlock the terminal".into())?;
        if let Some(size) = size {
            let resized = sys::resize(master.as_raw_fd(), size.rows, size.columns).map_err(io::Error::from);
            resized.step(|| "set the terminal's size".into())?;
        }
        let peer = owned(sys::open_peer(master.as_raw_fd()))?;
        Ok((master, peer))
    }
}

/// A user by numbers, as the container's own files have them.
pub(crate) fn resolve_inside(container: &Container, user: &User) -> Result<User> {
    numbers(user, &Inside { container }.accounts()?, container.merge_image_groups)
}

/// The root directory of a process, seen from outside.
pub(crate) fn root_of(pid: i32, pidfd: &OwnedFd) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/root");
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(path);
    signal_process(pidfd, 0).step_as(Kind::FailedPrecondition, || "it is not running".into())?;
    Ok(opened.step(|| "open the container's root".into())?.into())
}

fn owned(fd: Sys<sys::RawFd>) -> Result<OwnedFd> {
    let fd = fd.map_err(io::Error::from).step(|| "open".into())?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
