use anyhow::Result;
use serde_json::json;

use super::{Endpoint, client, out::outln};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
}

/// A daemon that does not answer is no failure: the binary's own version is known.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let own = env!("CARGO_PKG_VERSION");
    let daemon = client::block_on(client::daemon_version(&flags.endpoint));
    if flags.json {
        let (version, error) = match daemon {
            Ok(version) => (Some(version), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        return outln!("{:#}", json!({ "wharf": own, "daemon": version, "daemonError": error }));
    }
    outln!("wharf    {own}")?;
    outln!("daemon   {}", daemon.unwrap_or_else(|error| format!("{error:#}")))
}
