use std::{os::fd::OwnedFd, time::Duration};

use rustix::process::Signal;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{AttachRequest, StartRequest, attach};

use crate::{
    cgroup,
    init::{ends, send},
    status::{Found, Status, look},
    store::{Folder, Record, Store},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// The container
    id: String,
}

/// How long a container that could not be started may take to end by itself, and after it was killed.
const BY_ITSELF: Duration = Duration::from_millis(500);
const END: Duration = Duration::from_secs(10);

pub(crate) fn run(flags: &Flags, store: &Store) -> Result<u8> {
    let (folder, record) = store.locked(&flags.id)?;
    let found = look(&folder, &record)?;
    match found.status {
        Status::Created => {}
        Status::Stopped => {
            let what = format!("container {}: cannot start a container that has stopped", flags.id);
            return Err(Error::new(Kind::FailedPrecondition, what));
        }
        Status::Paused => {
            let what = format!("container {}: cannot start a container in the paused state", flags.id);
            return Err(Error::new(Kind::FailedPrecondition, what).hint("resume it first"));
        }
        other => return Err(other.refuses(&flags.id, "start")),
    }
    start(&folder, &record, found)?;
    Ok(0)
}

/// Starts a container that waits. One whose program cannot be executed has ended.
pub(crate) fn start(folder: &Folder, record: &Record, found: Found) -> Result<()> {
    let step = || format!("container {}", record.id);
    let connection = folder.connect().step(step)?;
    let (Some(connection), Some(init), Some(pidfd)) = (connection, record.init, found.init) else {
        // A start that was killed before it could say so, or an end just now.
        folder.started().step(step)?;
        let what = format!("container {}: cannot start a container that is started or has ended", record.id);
        return Err(Error::new(Kind::FailedPrecondition, what));
    };
    let spec = folder.spec().step(step)?;
    let end = pidfd.try_clone().step(step)?;
    let cgroup = cgroup::open(&record.cgroup).and_then(|group| cgroup::join(&group)).step(step)?;
    let start = StartRequest { connection, cgroup: Some(cgroup), late_steps: record.late_steps.clone() };
    let request = AttachRequest {
        id: &record.id,
        bundle: &record.bundle,
        pid: init.pid,
        pidfd,
        spec: &spec,
        merge_image_groups: false,
        start: Some(start),
    };
    let started = attach(request)?.start();
    let noted = folder.started().step(step);
    if let Err(cause) = started {
        // As the specification has it: it is stopped, and can be deleted when this returns.
        if stop(&end).unwrap_or(false) {
            return Err(cause);
        }
        let what = format!("container {}: it could not be started, and does not end", record.id);
        return Err(Error::new(cause.kind(), what).because(cause));
    }
    noted
}

/// It is about to end by itself, or is ended. Whether it has.
fn stop(init: &OwnedFd) -> Result<bool> {
    if ends(init, BY_ITSELF)? {
        return Ok(true);
    }
    match send(init, Signal::KILL) {
        // Just now.
        Err(error) if error.kind() == Kind::NotFound => Ok(true),
        sent => sent.and_then(|()| ends(init, END)),
    }
}
