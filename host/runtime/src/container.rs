use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use oci_spec::runtime::{ContainerState, Process as ProcessSpec, User};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    CgroupJoin, ExecRequest, Process, UserNamespace,
    child::{Channel, Message},
    conduct::{Conducted, explain_step},
    exec::{exec, resolve_inside},
    hooks::{Hooks, Own},
    plan::{Traits, explain_exec},
    seccomp::{Of, Seccomp},
    state::Facts,
    sys::{self, Errno},
    user::Identity,
};

const START_DEADLINE: Duration = Duration::from_secs(20);

/// A container made by [`crate::create()`]. Methods may be called from several threads. Dropping this before `start` ends
/// the waiting process; after `start` it ends nothing.
#[derive(Debug)]
pub struct Container {
    pub(crate) id: String,
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// Until the start.
    channel: Mutex<Option<Channel>>,
    terminal: Option<OwnedFd>,
    warnings: Vec<String>,
    program: String,
    /// The steps that are left at the start, by their numbers.
    late: Vec<(u32, String)>,
    facts: Facts,
    hooks: Hooks,
    /// What the first process is made from, and its cgroup, for hooks that are run like it. Until the start.
    own: Mutex<Option<(Box<ProcessSpec>, Option<CgroupJoin>)>>,
    pub(crate) seccomp: Option<Seccomp>,
    pub(crate) traits: Traits,
    /// What may be joined of it, beside its user namespace.
    pub(crate) kinds: i32,
    /// Who it runs as, for execs as the same user.
    pub(crate) identity: Identity,
    pub(crate) user: User,
    pub(crate) merge_image_groups: bool,
    pub(crate) user_namespace: Option<Arc<UserNamespace>>,
}

/// What a container is known by besides its process.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) id: String,
    pub(crate) facts: Facts,
    pub(crate) hooks: Hooks,
    pub(crate) own: Option<(Box<ProcessSpec>, Option<CgroupJoin>)>,
    pub(crate) warnings: Vec<String>,
    pub(crate) program: String,
    pub(crate) late: Vec<(u32, String)>,
    pub(crate) seccomp: Option<Seccomp>,
    pub(crate) traits: Traits,
    pub(crate) kinds: i32,
    pub(crate) identity: Identity,
    pub(crate) user: User,
    pub(crate) merge_image_groups: bool,
    pub(crate) user_namespace: Option<Arc<UserNamespace>>,
}

impl Container {
    pub(crate) fn new(child: Conducted, rest: Description) -> Self {
        let mut made = Self::attached(child.pid, child.pidfd, Some(child.channel), rest);
        made.warnings.extend(child.warnings);
        made.terminal = child.terminal;
        made
    }

    /// One that another process has made.
    pub(crate) fn attached(pid: i32, pidfd: OwnedFd, channel: Option<Channel>, rest: Description) -> Self {
        let Description {
            id,
            facts,
            hooks,
            own,
            warnings,
            program,
            late,
            seccomp,
            traits,
            kinds,
            identity,
            user,
            merge_image_groups,
            user_namespace,
        } = rest;
        Self {
            id,
            pid,
            pidfd,
            channel: Mutex::new(channel),
            terminal: None,
            warnings,
            program,
            late,
            facts,
            hooks,
            own: Mutex::new(own),
            seccomp,
            traits,
            kinds,
            identity,
            user,
            merge_image_groups,
            user_namespace,
        }
    }

    /// The id of its first process as the caller sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The pidfd of its first process: readable when that has ended. The caller reaps it.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The terminal's master, once, when one was asked for.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// What could not be had on this node and was clamped: one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Lets the process exec its program, and returns when it has. A program that cannot be executed is an error with
    /// runc's words (`exec: "foo": executable file not found in $PATH`); the process then exits with 127 (not found)
    /// or 126, and the caller reaps it. A startContainer hook that fails leaves the program unstarted, a poststart hook
    /// that fails ends it; both are errors. A second start is `FailedPrecondition`. Gives up after 20 seconds
    /// beside the hooks', leaving the process as it is.
    pub fn start(&self) -> Result<()> {
        self.begin().step(|| format!("container {}", self.id))
    }

    /// Runs the poststop hooks, once everything of the container is gone. What failed is told, one sentence each. Each
    /// hook is given its own time, two minutes where it names none.
    pub fn run_poststop(&self) -> Vec<String> {
        self.hooks.stopped(&self.facts)
    }

    /// A user of this container by numbers alone, for what is executed by another program: see
    /// [`resolve_user`](crate::resolve_user()).
    pub fn resolve_user(&self, user: &User) -> Result<User> {
        resolve_inside(self, user).step(|| format!("container {}", self.id))
    }

    /// Lets the process of a container made by [`create_detached`](crate::create_detached) wait without its maker, for
    /// whoever attaches to it and starts it ([`attach`](crate::attach())).
    pub fn detach(&self) -> Result<()> {
        let channel = self.channel.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let ended =
            || Error::new(Kind::FailedPrecondition, format!("container {}: it ended before it was started", self.id));
        channel.ok_or_else(ended)?.release().map_err(|_| ended())
    }

    /// The steps of its process that are left at the start, by their numbers: for whoever attaches to it then.
    pub fn late_steps(&self) -> &[(u32, String)] {
        &self.late
    }

    /// Sends a signal to the first process; `NotFound` when it has ended.
    pub fn kill(&self, signal: i32) -> Result<()> {
        signal_process(&self.pidfd, signal).step(|| format!("container {}", self.id))
    }

    /// Runs a further process inside, and returns when its program was executed. Errors in runc's words, as for
    /// [`Container::start`]; nothing is left then. Gives up after 20 seconds.
    pub fn exec(&self, request: ExecRequest<'_>) -> Result<Process> {
        self.exec_preserving(request, 0)
    }

    /// The same, with so many of the caller's descriptors, from 3 on, open in the process.
    pub fn exec_preserving(&self, request: ExecRequest<'_>, preserved_fds: u32) -> Result<Process> {
        exec(self, request, preserved_fds).step(|| format!("container {}", self.id))
    }

    fn begin(&self) -> Result<()> {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(channel) = channel else {
            return Err(Error::new(Kind::FailedPrecondition, "it was started before"));
        };
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((process, cgroup)) = own {
            // On an error the process hears that nobody listens any more, and ends.
            self.hooks.start(self, &self.facts, Own { process: &process, cgroup: cgroup.as_ref() })?;
        }
        let ended = || Error::new(Kind::FailedPrecondition, "it ended before it was started");
        channel.release().map_err(|_| ended())?;
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            match channel.receive(deadline).step(|| format!("exec: {:?}", self.program))? {
                Message::Closed => return self.started(),
                // On an error it hears that nobody listens any more, and ends.
                Message::Listener(number) => {
                    self.announce((self.pid, self.pidfd.as_fd()), number, ContainerState::Created)?;
                    channel.release().map_err(|_| ended())?;
                }
                Message::Failed { step, errno, value, text } => return Err(self.explain(step, errno, value, &text)),
                _ => {}
            }
        }
    }

    /// What a hook does not allow to have started is ended.
    fn started(&self) -> Result<()> {
        self.hooks.started(&self.facts, self.pid).inspect_err(|_| {
            // That it has ended already is as good.
            let _ = sys::send_signal(self.pidfd.as_raw_fd(), libc::SIGKILL, false);
        })
    }

    /// Gives the seccomp listener of one of its processes to its agent.
    pub(crate) fn announce(&self, process: (i32, BorrowedFd<'_>), number: i32, status: ContainerState) -> Result<()> {
        match &self.seccomp {
            Some(seccomp) => seccomp.announce(process, number, &self.facts, Of { status, pid: self.pid }),
            None => Err(Error::internal("a seccomp listener was made without a filter")),
        }
    }

    fn explain(&self, step: u32, errno: i32, value: i32, text: &str) -> Error {
        match self.late.iter().find(|(number, _)| *number == step) {
            Some((_, name)) => explain_step(name, errno, text),
            None => explain_exec(&self.program, errno, value),
        }
    }
}

/// Sends a signal to a process that is open; `NotFound` when it has ended.
pub fn send_signal(pidfd: &OwnedFd, signal: i32) -> Result<()> {
    signal_process(pidfd, signal)
}

/// Sends a signal to a process that was executed, which leads a session, and to what it started that is still in its
/// process group; `NotFound` when it has ended.
pub fn send_signal_to_group(pid: i32, pidfd: &OwnedFd, signal: i32) -> Result<()> {
    if sys::send_signal(pidfd.as_raw_fd(), signal, true).is_ok() {
        return Ok(());
    }
    // Before Linux 6.9 a group has to be named by its number, which is the process's own as long as it is there.
    signal_process(pidfd, 0)?;
    match sys::send_signal_by_number(pid, signal) {
        Ok(()) => Ok(()),
        Err(_) => signal_process(pidfd, signal),
    }
}

/// Sends a signal; `NotFound` when the process has ended.
pub(crate) fn signal_process(pidfd: &OwnedFd, signal: i32) -> Result<()> {
    match sys::send_signal(pidfd.as_raw_fd(), signal, false) {
        Err(Errno(libc::ESRCH)) => Err(Error::new(Kind::NotFound, "process already finished")),
        Err(Errno(libc::EINVAL)) => Err(Error::invalid(format!("there is no signal {signal}"))),
        other => other.map_err(io::Error::from).step(|| format!("send signal {signal}")),
    }
}
