use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::atomic::AtomicU32,
};

use rustix::io::fcntl_dupfd_cloexec;
use wharf_error::{Result, ResultExt as _};

use super::Op;
use crate::sys::RawFd;

/// A child's program: its steps, what they are called, and the fds they use.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Op>,
    names: Vec<String>,
    fds: Vec<OwnedFd>,
    /// The container's root, as detached mount or directory.
    pub(crate) root: Option<RawFd>,
    /// A listening socket on which the child waits for who starts it.
    pub(crate) start: Option<RawFd>,
    /// How many of the caller's descriptors, from 3 on, stay open.
    pub(crate) preserved: u32,
    /// Where the child is. The parent reads the child's own copy of it when a deadline has passed.
    pub(crate) at: AtomicU32,
}

impl Program {
    pub(crate) fn step(&mut self, name: impl Into<String>, op: Op) {
        self.steps.push(op);
        self.names.push(name.into());
    }

    /// Adds another program's steps and files.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.steps.append(&mut other.steps);
        self.names.append(&mut other.names);
        self.fds.append(&mut other.fds);
        self.root = self.root.or(other.root);
        self.start = self.start.or(other.start);
        self.preserved = self.preserved.max(other.preserved);
    }

    /// Keeps a file open until the child has it, and returns its number there: never 0, 1 or 2, which are replaced.
    pub(crate) fn adopt(&mut self, fd: OwnedFd) -> Result<RawFd> {
        let fd = if fd.as_raw_fd() < 3 {
            fcntl_dupfd_cloexec(&fd, 3).map_err(io::Error::from).step(|| "duplicate a descriptor".into())?
        } else {
            fd
        };
        let number = fd.as_raw_fd();
        self.fds.push(fd);
        Ok(number)
    }

    /// The numbers of all adopted files, ascending.
    pub(crate) fn numbers(&self) -> Vec<RawFd> {
        let mut numbers: Vec<_> = self.fds.iter().map(|fd| fd.as_raw_fd()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The steps behind the last wait, but for the exec, whose failure has words of its own.
    pub(crate) fn late(&self) -> Vec<(u32, String)> {
        let first = self.steps.iter().rposition(|op| matches!(op, Op::Ready)).unwrap_or(0);
        let steps = self.steps.iter().zip(&self.names).zip(0..).skip(first);
        let late = steps.filter(|((op, _), _)| !matches!(op, Op::Execute(_)));
        late.map(|((_, name), number)| (number, name.clone())).collect()
    }

    /// What a step is called.
    pub(crate) fn name(&self, step: u32) -> &str {
        usize::try_from(step).ok().and_then(|i| self.names.get(i)).map_or("an unknown step", String::as_str)
    }
}
