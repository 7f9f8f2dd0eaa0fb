//! Who makes a container and its processes: the runtime library, or an OCI runtime by its command line.

mod oci;

use std::os::fd::{BorrowedFd, OwnedFd};

use wharf_error::Result;
use wharf_runtime::ExecRequest;

pub use self::oci::{NewOci, OciContainer, remove as remove_oci};

/// A container, whoever made it.
pub enum Engine {
    Native(wharf_runtime::Container),
    Oci(OciContainer),
}

/// A further process in it.
pub enum Executed {
    Native(wharf_runtime::Process),
    Oci(oci::Executed),
}

// === impl Engine ===

impl Engine {
    /// Of its first process.
    pub fn pid(&self) -> i32 {
        match self {
            Self::Native(container) => container.pid(),
            Self::Oci(container) => container.pid(),
        }
    }

    /// Lets its program be executed. Blocks.
    pub fn start(&self) -> Result<()> {
        match self {
            Self::Native(container) => container.start(),
            Self::Oci(container) => container.start(),
        }
    }

    /// Sends a signal to its first process. Blocks.
    pub fn kill(&self, signal: i32) -> Result<()> {
        match self {
            Self::Native(container) => container.kill(signal),
            Self::Oci(container) => container.kill(signal),
        }
    }

    /// Runs a further process. Blocks. `exec_id` is a name among those of this container.
    pub fn exec(&self, exec_id: &str, request: ExecRequest<'_>) -> Result<Executed> {
        match self {
            Self::Native(container) => container.exec(request).map(Executed::Native),
            Self::Oci(container) => container.exec(exec_id, request).map(Executed::Oci),
        }
    }

    /// Before its cgroup is frozen or thawed by us: the command line does that itself.
    pub fn set_paused(&self, paused: bool) -> Option<Result<()>> {
        match self {
            Self::Native(_) => None,
            Self::Oci(container) => Some(container.set_paused(paused)),
        }
    }

    /// Runs what is to be run at its end: what failed, one sentence each. The command line has done so itself.
    pub fn run_poststop(&self) -> Vec<String> {
        match self {
            Self::Native(container) => container.run_poststop(),
            Self::Oci(_) => Vec::new(),
        }
    }

    /// Forgets it, once its processes have ended. Blocks.
    pub fn forget(&self) -> Result<()> {
        match self {
            Self::Native(_) => Ok(()),
            Self::Oci(container) => container.delete(),
        }
    }
}

// === impl Executed ===

impl Executed {
    pub fn pid(&self) -> i32 {
        match self {
            Self::Native(process) => process.pid(),
            Self::Oci(process) => process.pid,
        }
    }

    pub fn pidfd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Native(process) => process.pidfd(),
            Self::Oci(process) => std::os::fd::AsFd::as_fd(&process.pidfd),
        }
    }

    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        match self {
            Self::Native(process) => process.take_terminal(),
            Self::Oci(process) => process.terminal.take(),
        }
    }

    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Native(process) => process.warnings(),
            Self::Oci(_) => &[],
        }
    }

    pub fn kill(&self, signal: i32) -> Result<()> {
        match self {
            Self::Native(process) => process.kill(signal),
            Self::Oci(process) => process.kill(signal),
        }
    }
}
