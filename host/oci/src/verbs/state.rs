use wharf_error::ResultExt as _;

use crate::{
    out::{Stop, outln},
    status::{look, state},
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// The container
    id: String,
}

pub(crate) fn run(flags: &Flags, store: &Store) -> Result<u8, Stop> {
    let (folder, record) = store.container(&flags.id)?;
    let state = state(&record, &look(&folder, &record)?);
    outln!("{}", serde_json::to_string_pretty(&state).step(|| "encode the state".into())?)?;
    Ok(0)
}
