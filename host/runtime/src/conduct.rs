//! The parent's side of a child's run: hears what it says, and clears away after one that failed.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{WaitId, WaitIdOptions, WaitIdStatus, waitid},
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    child::{Channel, Message, Op, Program, Spawned, timespec},
    plan::explain_exec,
    sys,
};

/// How long a killed child may take to be gone. Only one that stands in a frozen cgroup or a dead file system does.
const BURIAL: Duration = Duration::from_secs(2);

/// What a child is to reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Goal {
    /// It waits before its exec.
    Ready,
    /// It waits for its seccomp listener to be taken.
    Listener,
    /// It has executed its program.
    Executed,
}

/// A child that has reached its goal.
#[derive(Debug)]
pub(crate) struct Conducted {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: Channel,
    pub(crate) terminal: Option<OwnedFd>,
    /// The number of its seccomp listener, where that is the goal.
    pub(crate) listener: Option<i32>,
    pub(crate) warnings: Vec<String>,
}

/// Listens until the child has reached its goal. When it does not, it is killed and reaped, with the one it left its
/// work to; `name` is the program's, for exec's error.
pub(crate) fn conduct(
    program: &Program,
    spawned: Spawned,
    goal: Goal,
    deadline: Instant,
    name: &str,
) -> Result<Conducted> {
    let forks = program.steps.iter().any(|op| matches!(op, Op::Fork { .. }));
    conduct_from(program, spawned, goal, deadline, name, forks)
}

/// `forks`: whether it is still to leave its work to another.
fn conduct_from(
    program: &Program,
    spawned: Spawned,
    goal: Goal,
    deadline: Instant,
    name: &str,
    forks: bool,
) -> Result<Conducted> {
    let Spawned { pid, pidfd, channel } = spawned;
    let mut run = Run {
        program,
        name,
        forks,
        first: (pid, pidfd),
        second: None,
        terminal: None,
        listener: None,
        warnings: Vec::new(),
    };
    match run.listen(&channel, goal, deadline) {
        Ok(()) => {
            let (pid, pidfd) = match run.second {
                Some(second) => {
                    // It ended when it had told us of the other.
                    bury(run.first.1.as_fd(), "the helper that joined the namespaces", BURIAL);
                    second
                }
                None => run.first,
            };
            let Run { terminal, listener, warnings, .. } = run;
            Ok(Conducted { pid, pidfd, channel, terminal, listener, warnings })
        }
        Err(error) => {
            run.end();
            Err(error)
        }
    }
}

impl Conducted {
    /// Lets a child that waits go on, and listens until it has reached its next goal, as [`conduct`] does.
    pub(crate) fn go_on(self, program: &Program, goal: Goal, deadline: Instant, name: &str) -> Result<Self> {
        let Self { pid, pidfd, channel, terminal, mut warnings, .. } = self;
        if let Err(error) = channel.release() {
            end(pidfd.as_fd(), "a child that is gone");
            return Err(error).step(|| "let the process go on".into());
        }
        let mut next = conduct_from(program, Spawned { pid, pidfd, channel }, goal, deadline, name, false)?;
        warnings.append(&mut next.warnings);
        Ok(Self { terminal: next.terminal.or(terminal), warnings, ..next })
    }
}

/// Kills and reaps a child.
pub(crate) fn end(pidfd: BorrowedFd<'_>, what: &str) {
    // That it has ended already is as good.
    let _ = sys::send_signal(pidfd.as_raw_fd(), libc::SIGKILL, false);
    bury(pidfd, what, BURIAL);
}

/// Waits for a child's end and reaps it. One that does not end in time is left to the caller's own reaping: waiting
/// longer would block whoever asked.
pub(crate) fn bury(pidfd: BorrowedFd<'_>, what: &str, patience: Duration) -> Option<WaitIdStatus> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timespec(left))) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) | Err(_) => {
                tracing::warn!("{what} does not end: its cgroup may be frozen");
                return None;
            }
            // Someone who reaps all children may have been here before.
            Ok(_) => return waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).ok().flatten(),
        }
    }
}

/// Why a step failed.
pub(crate) fn explain_step(name: &str, errno: i32, text: &str) -> Error {
    let what = if text.is_empty() { name.to_owned() } else { format!("{name}: {text}") };
    let kind = match errno {
        libc::ENOSPC | libc::ENOMEM | libc::EDQUOT | libc::EAGAIN | libc::EMFILE | libc::ENFILE => Kind::Exhausted,
        libc::EROFS | libc::ENOENT | libc::ELOOP | libc::ENOTDIR | libc::EACCES => Kind::FailedPrecondition,
        _ => Kind::Internal,
    };
    Error::new(kind, what).because(io::Error::from_raw_os_error(errno))
}

struct Run<'a> {
    program: &'a Program,
    name: &'a str,
    forks: bool,
    first: (i32, OwnedFd),
    /// The one that goes on after a fork.
    second: Option<(i32, OwnedFd)>,
    terminal: Option<OwnedFd>,
    listener: Option<i32>,
    warnings: Vec<String>,
}

impl Run<'_> {
    fn listen(&mut self, channel: &Channel, goal: Goal, deadline: Instant) -> Result<()> {
        let mut ready = false;
        loop {
            match channel.receive(deadline).map_err(|error| self.name_step(error))? {
                Message::Warning { step, errno, value } => self.warn(step, errno, value),
                Message::Failed { step, errno, value, text } => return Err(self.explain(step, errno, value, text)),
                Message::Terminal(master) => self.terminal = Some(master),
                // Both sides of a fork tell of it. The word of the slower one may come after a first goal, when the one that
                // goes on is known: taken for another process, the one that runs would be waited for and reaped here.
                Message::Forked { .. } if !self.forks => {}
                Message::Forked { pid, pidfd } => self.second = self.second.take().or(Some((pid, pidfd))),
                Message::Ready => ready = true,
                Message::Listener(number) => self.listener = Some(number),
                Message::Closed if goal == Goal::Executed && (self.second.is_some() || !self.forks) => return Ok(()),
                Message::Closed => return Err(self.explain_end()),
            }
            // Who goes on was told before.
            let reached = match goal {
                Goal::Ready => ready,
                Goal::Listener => self.listener.is_some(),
                Goal::Executed => false,
            };
            if reached {
                return Ok(());
            }
        }
    }

    fn end(&self) {
        for (_, pidfd) in self.second.iter().chain([&self.first]) {
            end(pidfd.as_fd(), "a child that failed");
        }
    }

    fn explain(&self, step: u32, errno: i32, value: i32, text: String) -> Error {
        let op = usize::try_from(step).ok().and_then(|step| self.program.steps.get(step));
        if let Some(Op::Execute(_) | Op::Look { .. }) = op {
            return explain_exec(self.name, errno, value);
        }
        explain_step(self.program.name(step), errno, &text)
    }

    /// The child's end was closed and it said nothing: something killed it.
    fn explain_end(&self) -> Error {
        let at = self.step();
        let (_, pidfd) = self.second.as_ref().unwrap_or(&self.first);
        let status = bury(pidfd.as_fd(), "a child that went silent", BURIAL);
        let how = match status.and_then(|status| status.terminating_signal()) {
            Some(libc::SIGKILL) => "it was killed".to_owned(),
            Some(signal) => format!("it ended by signal {signal}"),
            None => "it ended".to_owned(),
        };
        let place = at.map_or(String::new(), |at| format!(" at step {at:?}"));
        Error::new(Kind::FailedPrecondition, format!("the process did not get as far as its program: {how}{place}"))
            .hint("a memory limit below a few megabytes, or a stop at the same time, ends it so")
    }

    fn name_step(&self, error: Error) -> Error {
        if error.kind() != Kind::DeadlineExceeded {
            return error;
        }
        let step = self.step().unwrap_or_else(|| "an unknown step".into());
        Error::new(Kind::DeadlineExceeded, format!("step {step:?} did not end in time"))
    }

    /// Where the child is, by its own copy of our memory.
    fn step(&self) -> Option<String> {
        let pid = self.second.as_ref().map_or(self.first.0, |(pid, _)| *pid);
        let step = sys::peek(pid, self.program.at.as_ptr()).ok()?;
        Some(self.program.name(step).to_owned())
    }

    fn warn(&mut self, step: u32, errno: i32, value: i32) {
        let name = self.program.name(step);
        let reason = io::Error::from_raw_os_error(errno);
        let op = usize::try_from(step).ok().and_then(|step| self.program.steps.get(step));
        self.warnings.push(match (op, value) {
            (Some(Op::Limit { .. }), i32::MAX) => format!("{name}: lowered to the hard limit: {reason}"),
            (Some(Op::Limit { .. }), value) => format!("{name}: lowered to the hard limit {value}: {reason}"),
            (_, i32::MIN) => format!("{name}: left as it is: {reason}"),
            (_, value) => format!("{name}: {value} instead: {reason}"),
        });
    }
}
