use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::send_signal;

use crate::{
    cgroup, signal,
    status::{Status, look},
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// Send it to all processes of the container
    #[arg(short, long)]
    all: bool,
    /// The container
    id: String,
    /// By name or number; 0 sends nothing and asks whether the container lives
    #[arg(default_value = "SIGTERM")]
    signal: String,
}

const SIGKILL: i32 = 9;

pub(crate) fn run(flags: &Flags, store: &Store) -> Result<u8> {
    let signal = signal::parse(&flags.signal)?;
    let (folder, record) = store.container(&flags.id)?;
    let found = look(&folder, &record)?;
    if flags.all {
        // Also of one whose first process has ended: what it left behind is meant.
        if signal != 0 {
            cgroup::open(&record.cgroup)?.kill(signal).step(|| format!("container {}", flags.id))?;
        }
        return Ok(0);
    }
    let ended = || Error::new(Kind::NotFound, format!("container {}: container not running", flags.id));
    let pidfd = found.init.ok_or_else(ended)?;
    match send_signal(&pidfd, signal) {
        Err(error) if error.is_not_found() => return Err(ended()),
        other => other.step(|| format!("container {}", flags.id))?,
    }
    if signal == SIGKILL && found.status == Status::Paused {
        // cgroup v1 holds even this one back from what is frozen.
        cgroup::open(&record.cgroup)?.thaw()?;
    }
    Ok(0)
}
