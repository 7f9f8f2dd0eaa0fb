//! Waiting for a process that a command has started: signals go on to it, and where it has a terminal of its own, bytes
//! go between that and ours.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    thread,
    time::Duration,
};

use nix::sys::{
    signal::{SigSet, Signal as Named},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{WaitId, WaitIdOptions, waitid},
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};
use wharf_error::{Error, Result, ResultExt as _};

/// How long the rest of a terminal's output is waited for: a process in the background may hold it open for ever.
const DRAIN: Duration = Duration::from_millis(500);

/// Signals of ours that are the process's instead.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

/// Our terminal, until it is as it was.
struct Raw(Option<Termios>);

// === impl Signals ===

impl Signals {
    /// Takes them from here on: before there is a process, so that none is lost. What is started meanwhile begins with
    /// none of them blocked all the same.
    pub(crate) fn take() -> Result<Self> {
        let mut set = SigSet::all();
        // What tells of our own faults and of children, and what stops us, stays ours.
        for own in [
            Named::SIGCHLD,
            Named::SIGPIPE,
            Named::SIGSEGV,
            Named::SIGBUS,
            Named::SIGFPE,
            Named::SIGILL,
            Named::SIGTRAP,
            Named::SIGSYS,
            Named::SIGTTIN,
            Named::SIGTTOU,
            Named::SIGTSTP,
            Named::SIGURG,
        ] {
            set.remove(own);
        }
        set.thread_block().map_err(io::Error::from).step(|| "block signals".into())?;
        let file = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        file.map(Self).map_err(io::Error::from).step(|| "take signals".into())
    }
}

/// Waits for a child's end and reaps it: its exit code, or 128 and its signal.
pub(crate) fn wait(
    pidfd: BorrowedFd<'_>,
    mut kill: impl FnMut(i32) -> Result<()>,
    terminal: Option<OwnedFd>,
    signals: &Signals,
) -> Result<u8> {
    let _raw = terminal.as_ref().map(|_| Raw::begin()).transpose()?;
    let output = terminal.as_ref().map(relay).transpose()?;
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.0.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            other => other.map_err(io::Error::from).step(|| "wait for the process".into())?,
        };
        if fds.first().is_some_and(|fd| !fd.revents().is_empty()) {
            break;
        }
        while let Ok(Some(info)) = signals.0.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            match &terminal {
                Some(master) if number == Named::SIGWINCH as i32 => resize(master),
                // That it has ended meanwhile shows at once.
                _ => drop(kill(number)),
            }
        }
    }
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).map_err(io::Error::from);
    let status =
        status.step(|| "wait for the process".into())?.ok_or_else(|| Error::internal("it has no exit status"))?;
    if let Some(output) = output {
        // Told when the last byte is written.
        let _ = output.recv_timeout(DRAIN);
    }
    let code = status.exit_status().unwrap_or_else(|| status.terminating_signal().map_or(255, |signal| 128 + signal));
    Ok(u8::try_from(code).unwrap_or(255))
}

/// Copies both ways, by threads that end with us.
fn relay(master: &OwnedFd) -> Result<std::sync::mpsc::Receiver<()>> {
    resize(master);
    let clone = || master.try_clone().map(File::from).step(|| "duplicate the terminal".into());
    let (mut from, mut to) = (clone()?, clone()?);
    let (sender, receiver) = std::sync::mpsc::channel();
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.into()).spawn(work).step(|| format!("start thread {name}"))
    };
    let output = move || {
        let mut bytes = vec![0; 32 << 10];
        // A terminal whose other end is closed everywhere reads as an error.
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let mut stdout = io::stdout().lock();
            let part = bytes.get(..length).unwrap_or_default();
            if stdout.write_all(part).and_then(|()| stdout.flush()).is_err() {
                break;
            }
        }
        let _ = sender.send(());
    };
    spawn("output", Box::new(output))?;
    spawn("input", Box::new(move || drop(io::copy(&mut io::stdin().lock(), &mut to))))?;
    Ok(receiver)
}

/// The process's terminal as large as ours; not having one is fine.
fn resize(master: &OwnedFd) {
    let stdin = io::stdin();
    if stdin.is_terminal()
        && let Ok(size) = tcgetwinsize(&stdin)
    {
        let _ = tcsetwinsize(master, size);
    }
}

// === impl Raw ===

impl Raw {
    fn begin() -> Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self(None));
        }
        let step = || "make our terminal raw".into();
        let before = tcgetattr(&stdin).map_err(io::Error::from).step(step)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).map_err(io::Error::from).step(step)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
