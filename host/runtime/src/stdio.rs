use std::os::fd::OwnedFd;

/// Where a process reads and writes.
#[derive(Debug)]
pub enum ProcessStdio {
    /// Three files, which become 0, 1 and 2. They are closed in the caller when the process has been made.
    /// They are given to the process's user (`fchown`), so that it can open `/dev/stdout` again.
    Files {
        /// Becomes 0.
        stdin: OwnedFd,
        /// Becomes 1.
        stdout: OwnedFd,
        /// Becomes 2.
        stderr: OwnedFd,
    },
    /// A new terminal from the container's own devpts; `process.terminal` must be true. The master comes back by
    /// `take_terminal`.
    Terminal {
        /// The size at the start; `None` leaves what the specification or the kernel says.
        size: Option<TerminalSize>,
    },
}

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}
