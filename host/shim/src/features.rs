//! `features`: what can be done on this node.

use wharf_error::{Result, ResultExt as _};
use wharf_runtime::{probe_recursive_read_only, probe_user_namespaces};
use wharf_shim_api::Features;

use crate::args::Args;

/// Tries it, and prints [`Features`] as JSON.
pub fn features(args: &Args) -> Result<()> {
    let users = probe_user_namespaces(&args.bundle);
    let readonly = probe_recursive_read_only();
    let features = Features {
        user_namespaces: users.is_ok(),
        recursive_read_only_mounts: readonly.is_ok(),
        reasons: [("user namespaces", users), ("recursive read-only mounts", readonly)]
            .into_iter()
            .filter_map(|(what, tried)| Some(format!("{what}: {}", tried.err()?)))
            .collect(),
    };
    let text = serde_json::to_string(&features).step(|| "encode the features".into())?;
    println!("{text}");
    Ok(())
}
