use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use wharf_error::{Error, Kind, Result};
use wharf_shim_api::task::Status;

use crate::io::Attached;

/// A process of a container, its first or an executed one: where it stands and what it holds open.
pub struct Process {
    /// The exec's id; empty for the first process.
    pub exec_id: String,
    pub stdio: StdioNames,
    /// By which the log thread knows its sources.
    pub owner: u64,
    /// Held from before a start until its event is queued: an exit is reported after it.
    pub starting: tokio::sync::Mutex<()>,
    stage: watch::Sender<Stage>,
    pid: Mutex<i32>,
    attached: Mutex<Option<Attached>>,
}

/// The streams as the caller named them.
#[derive(Clone, Debug, Default)]
pub struct StdioNames {
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    pub terminal: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    Created,
    Running,
    Exited(Exit),
}

/// How it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exit {
    /// The exit code, or 128 and the signal.
    pub code: i32,
    pub at_nanos: i64,
}

// === impl Process ===

impl Process {
    pub fn new(exec_id: &str, stdio: StdioNames, owner: u64) -> Self {
        Self {
            exec_id: exec_id.to_owned(),
            stdio,
            owner,
            starting: tokio::sync::Mutex::default(),
            stage: watch::Sender::new(Stage::Created),
            pid: Mutex::default(),
            attached: Mutex::default(),
        }
    }

    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// An exit is final.
    pub fn set_stage(&self, stage: Stage) {
        self.stage.send_if_modified(|old| {
            let changed = !matches!(old, Stage::Exited(_)) && *old != stage;
            if changed {
                *old = stage;
            }
            changed
        });
    }

    pub fn exit(&self) -> Option<Exit> {
        match self.stage() {
            Stage::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    /// Waits until it has ended, for ever if need be.
    pub async fn wait(&self) -> Result<Exit> {
        let mut stage = self.stage.subscribe();
        let ended = stage.wait_for(|stage| matches!(stage, Stage::Exited(_))).await;
        match ended.as_deref() {
            Ok(Stage::Exited(exit)) => Ok(*exit),
            _ => Err(Error::internal("the process was forgotten")),
        }
    }

    /// The process's number; 0 before there is one.
    pub fn pid(&self) -> i32 {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_pid(&self, pid: i32) {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    /// Its ends of FIFOs and terminal.
    pub fn attached(&self) -> MutexGuard<'_, Option<Attached>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn status(&self, paused: bool) -> Status {
        match self.stage() {
            Stage::Created => Status::CREATED,
            Stage::Running if paused => Status::PAUSED,
            Stage::Running => Status::RUNNING,
            Stage::Exited(_) => Status::STOPPED,
        }
    }

    /// What a signal to a process that is not there means in the protocol.
    pub fn finished(&self) -> Error {
        Error::new(Kind::NotFound, "process already finished")
    }
}

// === impl Exit ===

impl Exit {
    /// As the protocol counts it.
    pub fn status(self) -> u32 {
        u32::try_from(self.code).unwrap_or(255)
    }
}
