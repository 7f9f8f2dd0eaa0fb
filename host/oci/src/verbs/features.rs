use wharf_error::ResultExt as _;
use wharf_runtime::features;

use crate::out::{Stop, outln};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {}

/// Prints what is supported, in the specification's format.
pub(crate) fn run(_flags: &Flags) -> Result<u8, Stop> {
    let features = features(env!("CARGO_PKG_VERSION"))?;
    outln!("{}", serde_json::to_string_pretty(&features).step(|| "encode the features".into())?)?;
    Ok(0)
}
