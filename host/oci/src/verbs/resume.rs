use wharf_error::{Result, ResultExt as _};

use crate::{cgroup, status::look, store::Store};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// The container
    id: String,
}

pub(crate) fn run(flags: &Flags, store: &Store) -> Result<u8> {
    let (folder, record) = store.locked(&flags.id)?;
    if !cgroup::is_frozen(&record.cgroup) {
        return Err(look(&folder, &record)?.status.refuses(&flags.id, "resume"));
    }
    cgroup::open(&record.cgroup)?.thaw().step(|| format!("container {}", flags.id))?;
    Ok(0)
}
