use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use wharf_error::{Result, ResultExt as _};

use crate::container::{send_signal_to_group, signal_process};

/// A process started inside a running container: a child of the caller, who waits for it with
/// `waitid(P_PIDFD)` and so reaps it. Dropping this ends nothing.
///
/// It must be reaped also when the container has ended: the kernel holds the end of a container's first process back
/// until every process of its PID namespace is reaped.
#[derive(Debug)]
pub struct Process {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) warnings: Vec<String>,
}

impl Process {
    /// Its id as the caller sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its pidfd: readable when it has ended.
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

    /// Sends a signal; `NotFound` when it has ended.
    pub fn kill(&self, signal: i32) -> Result<()> {
        signal_process(&self.pidfd, signal).step(|| format!("process {}", self.pid))
    }

    /// As [`Process::kill`], and to what it started: [`send_signal_to_group`].
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        send_signal_to_group(self.pid, &self.pidfd, signal).step(|| format!("process {}", self.pid))
    }
}
