//! `-info`: what this runtime is and can do, for containerd 2.

use std::io::{self, Write as _};

use wharf_error::{Result, ResultExt as _};
use wharf_runtime::features;
use wharf_shim_api::encode_info;

/// How containerd's configuration calls this runtime.
const RUNTIME: &str = "io.containerd.wharf.v1";

/// Prints it. What this node decides is tried.
pub fn info() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let bytes = encode_info(RUNTIME, version, &features(version)?)?;
    io::stdout().write_all(&bytes).step(|| "print the answer".into())
}
