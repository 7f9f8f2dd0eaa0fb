use wharf_error::{Result, ResultExt as _};
use wharf_runtime::features;

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {}

/// Prints what is supported, in the specification's format.
pub(crate) fn run(_flags: &Flags) -> Result<u8> {
    let features = features(env!("CARGO_PKG_VERSION"))?;
    println!("{}", serde_json::to_string_pretty(&features).step(|| "encode the features".into())?);
    Ok(0)
}
