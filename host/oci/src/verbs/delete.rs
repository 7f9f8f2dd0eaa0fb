use std::time::Duration;

use rustix::process::Signal;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::run_poststop;

use crate::{
    cgroup,
    init::{ends, send},
    report::Report,
    status::{Found, Status, look},
    store::{Folder, Record, Store},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// End it first if it runs; a container that does not exist is fine
    #[arg(short, long)]
    force: bool,
    /// The container
    id: String,
}

/// How long a killed process may take to end.
const END: Duration = Duration::from_secs(10);

pub(crate) fn run(flags: &Flags, store: &Store, report: &Report) -> Result<u8> {
    let (folder, record) = match store.locked(&flags.id) {
        Ok(there) => there,
        Err(error) if error.is_not_found() => return absent(flags, store, error),
        Err(error) => return Err(error),
    };
    let found = look(&folder, &record)?;
    if !flags.force && !matches!(found.status, Status::Stopped | Status::Created) {
        let status = found.status.name();
        let what = format!("cannot delete container {} that is not stopped: {status}", flags.id);
        return Err(Error::new(Kind::FailedPrecondition, what).hint("kill it first, or use --force"));
    }
    delete(folder, &record, &found, report)?;
    Ok(0)
}

/// Ends whatever is left of a container and takes it away. Repeated after a failure, it goes on.
pub(crate) fn delete(folder: Folder, record: &Record, found: &Found, report: &Report) -> Result<()> {
    let step = || format!("container {}", record.id);
    let group = cgroup::open(&record.cgroup).step(step)?;
    if let Some(pidfd) = &found.init {
        match send(pidfd, Signal::KILL) {
            Err(error) if !error.is_not_found() => return Err(error).step(step),
            _ => {}
        }
        group.thaw().step(step)?;
    }
    cgroup::clear(&record.cgroup).step(step)?;
    if let Some(pidfd) = &found.init
        && !ends(pidfd, END).step(step)?
    {
        let what = format!("container {}: its first process does not end", record.id);
        return Err(Error::new(Kind::DeadlineExceeded, what).hint("it waits in the kernel: look at /proc/PID/stack"));
    }
    // Of one that was never made there is nothing to tell; and what is known of it goes last.
    let spec = record.init.map(|_| folder.spec()).transpose().step(step)?;
    folder.remove().step(step)?;
    for failed in spec.map_or_else(Vec::new, |spec| run_poststop(&record.id, &record.bundle, &spec)) {
        report.warning(&failed);
    }
    Ok(())
}

/// No container of this id; but a folder may be there, of a `create` that was killed at once.
fn absent(flags: &Flags, store: &Store, error: Error) -> Result<u8> {
    if let Some(folder) = store.remains(&flags.id)?
        && folder.try_lock()?
        && folder.record()?.is_none()
    {
        folder.remove()?;
        return Ok(0);
    }
    if flags.force { Ok(0) } else { Err(error) }
}
