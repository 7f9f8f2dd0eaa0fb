//! Who makes a container and its processes: the runtime library, an OCI runtime by its command line, or another shim.

mod ended;
mod oci;
mod other;
mod spec;

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use oci_spec::runtime::{LinuxResources, Spec};
use wharf_error::{Result, ResultExt as _};
use wharf_runtime::{ExecRequest, PodNamespaces, ProcessStdio, Root};

pub use self::{
    ended::ends,
    oci::{OciContainer, remove as remove_oci},
    other::{
        Ends, OtherContainer, OtherRecord, OthersEvents, Server, Start, Told, delete_by_program, end as end_other,
        folder as other_folder,
    },
    spec::bundle_of as inner_bundle,
};

/// A container to be made by another program.
pub struct New<'a> {
    pub id: &'a str,
    pub bundle: &'a Path,
    pub spec: &'a Spec,
    pub root: Root,
    /// Sources of bind mounts that are no paths of the host, by the mounts' destinations.
    pub sources: BTreeMap<PathBuf, Root>,
    pub namespaces: &'a PodNamespaces,
    pub merge_image_groups: bool,
    /// Folders that are made in the root where they are missing.
    pub folders: &'a [PathBuf],
    pub stdio: ProcessStdio,
}

/// A container, whoever made it.
pub enum Engine {
    Native(wharf_runtime::Container),
    Oci(OciContainer),
    Other(OtherContainer),
}

/// A further process in it.
pub enum Executed {
    Native(wharf_runtime::Process),
    Oci(oci::Executed),
    Other(other::Executed),
}

/// How the end of a process is seen.
pub enum Ending {
    /// It is our child.
    Child(OwnedFd),
    /// Another shim tells.
    Told(Told),
}

/// Our side of a process's terminal.
pub enum Console {
    Master(OwnedFd),
    /// Another shim has the master.
    Streams(Ends),
}

// === impl Engine ===

impl Engine {
    /// Of its first process.
    pub fn pid(&self) -> i32 {
        match self {
            Self::Native(container) => container.pid(),
            Self::Oci(container) => container.pid(),
            Self::Other(container) => container.pid(),
        }
    }

    /// Lets its program be executed. Blocks.
    pub fn start(&self) -> Result<()> {
        match self {
            Self::Native(container) => container.start(),
            Self::Oci(container) => container.start(),
            Self::Other(container) => container.start(),
        }
    }

    /// Sends a signal to its first process. Blocks.
    pub fn kill(&self, signal: i32) -> Result<()> {
        match self {
            Self::Native(container) => container.kill(signal),
            Self::Oci(container) => container.kill(signal),
            Self::Other(container) => container.kill("", signal, false),
        }
    }

    /// Sends a signal to all of its processes, where they are not to be reached by its cgroup. Blocks.
    pub fn kill_all(&self, signal: i32) -> Option<Result<()>> {
        match self {
            Self::Native(_) | Self::Oci(_) => None,
            Self::Other(container) => Some(container.kill("", signal, true)),
        }
    }

    /// Ends what is not to be reached by its cgroup. Blocks.
    pub fn end(&self) {
        if let Self::Other(container) = self {
            container.end();
        }
    }

    /// Runs a further process. Blocks. `exec_id` is a name among those of this container.
    pub fn exec(&self, exec_id: &str, request: ExecRequest<'_>) -> Result<Executed> {
        match self {
            Self::Native(container) => container.exec(request).map(Executed::Native),
            Self::Oci(container) => container.exec(exec_id, request).map(Executed::Oci),
            Self::Other(container) => container.exec(exec_id, request).map(Executed::Other),
        }
    }

    /// Before its cgroup is frozen or thawed by us: others do that themselves.
    pub fn set_paused(&self, paused: bool) -> Option<Result<()>> {
        match self {
            Self::Native(_) => None,
            Self::Oci(container) => Some(container.set_paused(paused)),
            Self::Other(container) => Some(container.set_paused(paused)),
        }
    }

    /// Before limits are written to its cgroup: another shim does that itself. Blocks.
    pub fn update(&self, resources: &LinuxResources) -> Option<Result<()>> {
        match self {
            Self::Native(_) | Self::Oci(_) => None,
            Self::Other(container) => Some(container.update(resources)),
        }
    }

    /// Tells a terminal its size, where its master is not ours. Blocks.
    pub fn resize(&self, exec_id: &str, width: u16, height: u16) -> Option<Result<()>> {
        match self {
            Self::Native(_) | Self::Oci(_) => None,
            Self::Other(container) => Some(container.resize(exec_id, width, height)),
        }
    }

    /// Runs what is to be run at its end: what failed, one sentence each. Others have done so themselves.
    pub fn run_poststop(&self) -> Vec<String> {
        match self {
            Self::Native(container) => container.run_poststop(),
            Self::Oci(_) | Self::Other(_) => Vec::new(),
        }
    }

    /// Forgets it, once its processes have ended. Blocks.
    pub fn forget(&self) -> Result<()> {
        match self {
            Self::Native(_) => Ok(()),
            Self::Oci(container) => container.delete(),
            Self::Other(container) => container.forget(),
        }
    }
}

// === impl Executed ===

impl Executed {
    pub fn pid(&self) -> i32 {
        match self {
            Self::Native(process) => process.pid(),
            Self::Oci(process) => process.pid,
            Self::Other(process) => process.pid,
        }
    }

    pub fn ending(&self) -> Result<Ending> {
        let pidfd = match self {
            Self::Native(process) => process.pidfd().try_clone_to_owned(),
            Self::Oci(process) => process.pidfd.try_clone(),
            Self::Other(process) => return Ok(Ending::Told(process.told.clone())),
        };
        pidfd.map(Ending::Child).step(|| "keep its pidfd".into())
    }

    pub fn take_console(&mut self) -> Option<Console> {
        match self {
            Self::Native(process) => process.take_terminal().map(Console::Master),
            Self::Oci(process) => process.terminal.take().map(Console::Master),
            Self::Other(process) => process.ends.take().map(Console::Streams),
        }
    }

    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Native(process) => process.warnings(),
            Self::Oci(_) | Self::Other(_) => &[],
        }
    }

    /// Sends it a signal; `all`: to its process group, where that is ours to reach. Blocks.
    pub fn kill(&self, signal: i32, all: bool) -> Result<()> {
        match self {
            Self::Native(process) if all => process.kill_all(signal),
            Self::Native(process) => process.kill(signal),
            Self::Oci(process) => process.kill(signal, all),
            Self::Other(process) => process.kill(signal),
        }
    }

    /// Forgets it, once it has ended. Blocks.
    pub fn forget(&self) -> Result<()> {
        match self {
            Self::Native(_) | Self::Oci(_) => Ok(()),
            Self::Other(process) => process.forget(),
        }
    }
}
