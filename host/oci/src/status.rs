use std::os::fd::OwnedFd;

use serde_json::{Value, json};
use wharf_error::{Error, Kind, Result};

use crate::{
    cgroup,
    store::{Folder, Record},
};

/// Where a container stands, in the specification's words and runc's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

/// A container as it is found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) status: Status,
    /// Its first process, open, unless it has ended.
    pub(crate) init: Option<OwnedFd>,
}

/// Looks at a container.
pub(crate) fn look(folder: &Folder, record: &Record) -> Result<Found> {
    let Some(init) = record.init else {
        let status = if folder.is_busy()? { Status::Creating } else { Status::Stopped };
        return Ok(Found { status, init: None });
    };
    let init = init.open()?;
    let status = match &init {
        None => Status::Stopped,
        // Also one that waits for its start, and cannot be started so.
        Some(_) if cgroup::is_frozen(&record.cgroup) => Status::Paused,
        Some(_) if folder.waits() => Status::Created,
        Some(_) => Status::Running,
    };
    Ok(Found { status, init })
}

/// A container's state as the specification has it, with what runc adds.
pub(crate) fn state(record: &Record, found: &Found) -> Value {
    let mut state = json!({
        "ociVersion": record.oci_version,
        "id": record.id,
        "pid": record.init.filter(|_| found.init.is_some()).map_or(0, |init| init.pid),
        "status": found.status.name(),
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "owner": "",
    });
    if !record.annotations.is_empty() {
        state["annotations"] = json!(record.annotations);
    }
    state
}

// === impl Status ===

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    /// What does not go in this state.
    pub(crate) fn refuses(self, id: &str, what: &str) -> Error {
        Error::new(Kind::FailedPrecondition, format!("container {id}: cannot {what} a {} container", self.name()))
    }
}
