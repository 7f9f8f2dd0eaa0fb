use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::kernel::Kernel;

/// The name of the virtio port on which the agent tells what happens, an [`Event`] in JSON a line.
pub const PORT: &str = "wharf.events";
/// Where the disk is mounted in the guest.
pub const DISK: &str = "/disk";
/// The first process of a guest that has systemd.
pub(crate) const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// What a guest does from its start to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The folder of the kernel's modules, to be bound to `/lib/modules/<release>`.
    pub modules: PathBuf,
    /// One after the other, whatever the one before came to.
    pub programs: Vec<Program>,
    /// Whether systemd is the first process, and the agent a service of it.
    pub systemd: bool,
}

/// One program of a job. It finds this machine's files at their own paths, and what it writes is lost with the guest,
/// but for the disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// What it is called in reports.
    pub name: String,
    /// The file to execute.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working folder.
    pub cwd: PathBuf,
    /// Its environment, beside `PATH`, `HOME`, `LANG` and `TMPDIR`.
    pub env: BTreeMap<String, String>,
    /// After this it is killed, and all it started.
    pub limit: Duration,
    /// Whether it is Rust's test harness and names its tests; of any other program only its end is judged.
    pub harness: bool,
}

/// What the agent tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The guest is set up.
    Ready {
        /// `uname -r`
        kernel: String,
        /// The security modules that are at work, as `/sys/kernel/security/lsm` lists them.
        security: String,
        /// The controllers that its cgroup v2 hands down.
        controllers: String,
    },
    /// A program begins.
    Started {
        /// Its name.
        program: String,
    },
    /// A line of its output, or error output.
    Line {
        /// Without the line break; what is no UTF-8 is replaced.
        text: String,
    },
    /// A program has ended.
    Ended {
        /// Its name.
        program: String,
        /// How.
        end: End,
        /// How long it took, by the guest's clock.
        took: Duration,
        /// Processes, mounts and cgroups that are there now and were not before it, one a line.
        left: Vec<String>,
    },
    /// The guest itself failed.
    Failed {
        /// Why.
        error: String,
    },
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// By itself.
    Exit(i32),
    /// By a signal.
    Signal(i32),
    /// It was killed at its limit.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}

// === impl Job ===

impl Job {
    /// A job under this kernel.
    pub fn new(kernel: &Kernel, programs: Vec<Program>) -> Self {
        Self { modules: kernel.modules.clone(), programs, systemd: false }
    }

    /// With this machine's systemd as the first process of the guest.
    ///
    /// # Errors
    ///
    /// When this machine has none.
    pub fn under_systemd(mut self) -> Result<Self> {
        ensure!(Path::new(SYSTEMD).is_file(), "{SYSTEMD} is missing: install the package systemd");
        self.systemd = true;
        Ok(self)
    }
}
