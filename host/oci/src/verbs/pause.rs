use std::time::Duration;

use wharf_error::{Result, ResultExt as _};

use crate::{
    cgroup,
    status::{Status, look},
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// The container
    id: String,
}

/// How long all processes may take to stand.
const FREEZE: Duration = Duration::from_secs(10);

pub(crate) fn run(flags: &Flags, store: &Store) -> Result<u8> {
    let (folder, record) = store.locked(&flags.id)?;
    match look(&folder, &record)?.status {
        Status::Running | Status::Created => {}
        other => return Err(other.refuses(&flags.id, "pause")),
    }
    cgroup::open(&record.cgroup)?.freeze(FREEZE).step(|| format!("container {}", flags.id))?;
    Ok(0)
}
