use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use wharf_error::{Error, Kind, Result};

use crate::{ExecRequest, Process};

/// A container made by [`crate::create`]. Methods may be called from several threads. Dropping this before `start` ends
/// the waiting process; after `start` it ends nothing.
#[derive(Debug)]
pub struct Container {
    pid: i32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
    warnings: Vec<String>,
}

impl Container {
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
    /// or 126, and the caller reaps it. A second start is `FailedPrecondition`.
    pub fn start(&self) -> Result<()> {
        Err(Error::new(Kind::Unsupported, "not built yet"))
    }

    /// Sends a signal to the first process; `NotFound` when it has ended.
    pub fn kill(&self, signal: i32) -> Result<()> {
        let _ = signal;
        Err(Error::new(Kind::Unsupported, "not built yet"))
    }

    /// Runs a further process inside, and returns when its program was executed. Errors in runc's words, as for
    /// [`Container::start`]; nothing is left then. Gives up after 30 seconds.
    pub fn exec(&self, request: ExecRequest<'_>) -> Result<Process> {
        let _ = request;
        Err(Error::new(Kind::Unsupported, "not built yet"))
    }
}
