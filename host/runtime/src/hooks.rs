//! The hooks of a specification: programs of the node's owner that are run at turns of a container's life, each told
//! the container's state on its standard input.

use std::{
    io::{self, Read as _, Seek as _, Write as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use oci_spec::runtime::{ContainerState, Hook, Hooks as HooksSpec, Process as ProcessSpec, Spec};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{MemfdFlags, memfd_create},
    process::{WaitId, WaitIdOptions, waitid},
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    CgroupJoin, Container, ExecRequest, ProcessStdio,
    child::{Op, Program, spawn, timespec},
    conduct::{Goal, conduct, end},
    exec::{ALL_BUT_USER, exec_program},
    plan::hook_image,
    state::Facts,
};

/// How long a hook may take that names no time of its own.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a child may take to the exec.
const DEADLINE: Duration = Duration::from_secs(30);

/// How much of what a hook says is told.
const MOST_WORDS: u64 = 4096;

/// What is to be run, and when.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    prestart: Vec<Hook>,
    create_runtime: Vec<Hook>,
    create_container: Vec<Hook>,
    start_container: Vec<Hook>,
    poststart: Vec<Hook>,
    poststop: Vec<Hook>,
}

impl Hooks {
    /// Those of a specification, checked.
    pub(crate) fn of(spec: &Spec) -> Result<Self> {
        let Some(hooks) = spec.hooks() else { return Ok(Self::default()) };
        let read = |kind: &str, list: &Option<Vec<Hook>>| {
            let list = list.clone().unwrap_or_default();
            list.iter().zip(0..).try_for_each(|(hook, at)| check(hook).step(|| name(kind, at, hook)))?;
            Ok::<_, Error>(list)
        };
        Ok(Self {
            prestart: read("prestart", prestart(hooks))?,
            create_runtime: read("createRuntime", hooks.create_runtime())?,
            create_container: read("createContainer", hooks.create_container())?,
            start_container: read("startContainer", hooks.start_container())?,
            poststart: read("poststart", hooks.poststart())?,
            poststop: read("poststop", hooks.poststop())?,
        })
    }

    /// Whether there are any for the time before the root becomes the container's own.
    pub(crate) fn at_create(&self) -> bool {
        !(self.prestart.is_empty() && self.create_runtime.is_empty() && self.create_container.is_empty())
    }

    /// Whether there are any that are run as the container's own process.
    pub(crate) fn at_start(&self) -> bool {
        !self.start_container.is_empty()
    }

    /// Runs those of the creation: prestart and createRuntime on the node, createContainer in the container's
    /// namespaces, where the node's root is still to be seen. All of them are the node's programs and run as root, in a
    /// container with a user namespace too: it is not they who are to be confined.
    pub(crate) fn create(&self, facts: &Facts, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        let state = state(facts, ContainerState::Creating, pid)?;
        for (kind, hooks) in [("prestart", &self.prestart), ("createRuntime", &self.create_runtime)] {
            run_all(kind, hooks, |hook| run(hook, &state, None))?;
        }
        run_all("createContainer", &self.create_container, |hook| run(hook, &state, Some(pidfd)))
    }

    /// Runs those before the program: as the container's process will be, for they are programs of its own root.
    pub(crate) fn start(&self, container: &Container, facts: &Facts, own: Own<'_>) -> Result<()> {
        let state = state(facts, ContainerState::Created, container.pid())?;
        run_all("startContainer", &self.start_container, |hook| run_inside(hook, &state, container, own))
    }

    /// Runs those after the program has started.
    pub(crate) fn started(&self, facts: &Facts, pid: i32) -> Result<()> {
        if self.poststart.is_empty() {
            return Ok(());
        }
        let state = state(facts, ContainerState::Running, pid)?;
        run_all("poststart", &self.poststart, |hook| run(hook, &state, None))
    }

    /// Runs those of the end. One that fails keeps no other from running.
    pub(crate) fn stopped(&self, facts: &Facts) -> Vec<String> {
        let hooks = self.poststop.iter().zip(0..);
        let failed = hooks.filter_map(|(hook, at)| {
            let ran = state(facts, ContainerState::Stopped, 0).and_then(|state| run(hook, &state, None));
            ran.step(|| name("poststop", at, hook)).err()
        });
        failed.map(|error| error.to_string()).collect()
    }
}

/// Runs the poststop hooks of a container whose [`Container`] nobody has any more: what failed, one sentence each.
pub fn run_poststop(id: &str, bundle: &Path, spec: &Spec) -> Vec<String> {
    match Hooks::of(spec) {
        Ok(hooks) => hooks.stopped(&Facts::new(id, bundle.to_owned(), spec)),
        Err(error) => vec![error.to_string()],
    }
}

/// What the first process of a container is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<'a> {
    pub(crate) process: &'a ProcessSpec,
    pub(crate) cgroup: Option<&'a CgroupJoin>,
}

#[allow(deprecated, reason = "it is still in use, and part of the specification")]
fn prestart(hooks: &HooksSpec) -> &Option<Vec<Hook>> {
    hooks.prestart()
}

fn name(kind: &str, at: usize, hook: &Hook) -> String {
    format!("hooks.{kind}[{at}] {}", hook.path().display())
}

fn check(hook: &Hook) -> Result<()> {
    if !hook.path().is_absolute() {
        return Err(Error::invalid("its path is not absolute"));
    }
    match hook.timeout() {
        Some(seconds) if seconds <= 0 => Err(Error::invalid(format!("its timeout {seconds} is not above zero"))),
        _ => Ok(()),
    }
}

fn state(facts: &Facts, status: ContainerState, pid: i32) -> Result<Vec<u8>> {
    serde_json::to_vec(&facts.state(status, pid)).step(|| "encode the container's state".into())
}

/// One after the other, until one fails.
fn run_all(kind: &str, hooks: &[Hook], run: impl Fn(&Hook) -> Result<()>) -> Result<()> {
    hooks.iter().zip(0..).try_for_each(|(hook, at)| run(hook).step(|| name(kind, at, hook)))
}

/// Runs a hook of the node's, in the namespaces of a process or our own.
fn run(hook: &Hook, state: &[u8], inside: Option<BorrowedFd<'_>>) -> Result<()> {
    let said = file("said", &[])?;
    let mut program = Program::default();
    program.step("reset signals", Op::ResetSignals);
    program.step("umask", Op::Umask(0o022));
    if let Some(pidfd) = inside {
        let namespace = program.adopt(pidfd.try_clone_to_owned().step(|| "duplicate a pidfd".into())?)?;
        program.step("join the container's namespaces", Op::Enter { namespace, kinds: ALL_BUT_USER });
        program.step("clone into the container", Op::Fork { flags: 0 });
    }
    program.step("start a session", Op::Session);
    let output = program.adopt(said.try_clone().step(|| "duplicate a file".into())?)?;
    let files = [program.adopt(file("state", state)?)?, output, output];
    program.step("set up standard input and output", Op::Stdio { files, uid: 0 });
    program.step("close other files", Op::CloseAll);
    program.step("exec", Op::Execute(hook_image(hook)?));
    let child = spawn(&program, 0, None)?;
    let child = conduct(&program, child, Goal::Executed, Instant::now() + DEADLINE, &hook.path().to_string_lossy())?;
    outcome(hook, child.pidfd.as_fd(), said)
}

/// Runs a hook of the container's own root.
fn run_inside(hook: &Hook, state: &[u8], container: &Container, own: Own<'_>) -> Result<()> {
    let said = file("said", &[])?;
    let mut process = own.process.clone();
    process.set_terminal(None).set_console_size(None).set_args(Some(arguments(hook)));
    if let Some(env) = hook.env() {
        // A hook that names none has that of the program whose place it is in.
        process.set_env(Some(env.clone()));
    }
    let clone = || said.try_clone().step(|| "duplicate a file".into());
    let stdio = ProcessStdio::Files { stdin: file("state", state)?, stdout: clone()?, stderr: clone()? };
    let cgroup = own.cgroup.map(CgroupJoin::try_clone).transpose()?;
    let request = ExecRequest { process: &process, stdio, cgroup };
    let child = exec_program(container, request, Some(hook.path()), ContainerState::Created, 0)?;
    outcome(hook, child.pidfd(), said)
}

/// The arguments: its own path where none are given.
pub(crate) fn arguments(hook: &Hook) -> Vec<String> {
    let given = hook.args().clone().filter(|args| !args.is_empty());
    given.unwrap_or_else(|| vec![hook.path().to_string_lossy().into_owned()])
}

/// Waits for a hook's end, within its time, and judges it.
fn outcome(hook: &Hook, pidfd: BorrowedFd<'_>, said: OwnedFd) -> Result<()> {
    let seconds = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok());
    let limit = seconds.map_or(PATIENCE, Duration::from_secs);
    let deadline = Instant::now().checked_add(limit);
    loop {
        let left = deadline.map_or(limit, |deadline| deadline.saturating_duration_since(Instant::now()));
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timespec(left))) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                end(pidfd, "a hook");
                return Err(io::Error::from(errno)).step(|| "wait for it".into());
            }
            Ok(0) => {
                end(pidfd, "a hook that took too long");
                let what = format!("it did not end within {} seconds, and was killed", limit.as_secs());
                return Err(Error::new(Kind::DeadlineExceeded, what));
            }
            Ok(_) => break,
        }
    }
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).map_err(io::Error::from);
    let status = status.step(|| "reap it".into())?;
    let how = match status.as_ref().and_then(|status| status.exit_status()) {
        Some(0) => return Ok(()),
        Some(code) => format!("it exited with {code}"),
        None => match status.and_then(|status| status.terminating_signal()) {
            Some(signal) => format!("it ended by signal {signal}"),
            None => "its end was not seen".to_owned(),
        },
    };
    let words = words(said);
    let words = if words.is_empty() { words } else { format!(": {words}") };
    Err(Error::new(Kind::FailedPrecondition, format!("{how}{words}")))
}

/// The end of what it said.
fn words(said: OwnedFd) -> String {
    let mut file = std::fs::File::from(said);
    let mut bytes = Vec::new();
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    // What cannot be read is not worth an error over the one that is told.
    let read = file.seek(io::SeekFrom::Start(length.saturating_sub(MOST_WORDS)));
    if read.and_then(|_| file.take(MOST_WORDS).read_to_end(&mut bytes)).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// A file in memory, read from its beginning.
fn file(name: &str, content: &[u8]) -> Result<OwnedFd> {
    let make = || {
        let mut file = std::fs::File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
        file.write_all(content)?;
        file.rewind()?;
        Ok::<_, io::Error>(OwnedFd::from(file))
    };
    make().step(|| format!("make a file in memory for the hook's {name}"))
}
