use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::config::{self, Config};

/// `wharf daemon`'s flags; each wins over the configuration.
#[derive(Args)]
pub(crate) struct Flags {
    /// The configuration file
    #[arg(long, default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// What outlives a reboot
    #[arg(long)]
    root: Option<PathBuf>,
    /// What ends with the machine's uptime
    #[arg(long)]
    state: Option<PathBuf>,
    /// The gRPC socket, a path or unix://PATH [default: STATE/wharf.sock]
    #[arg(long)]
    pub(crate) socket: Option<PathBuf>,
    /// error, warn, info, debug, trace, or a filter by crate
    #[arg(long)]
    log_level: Option<String>,
}

// === impl Flags ===

impl Flags {
    pub(super) fn config(self) -> Result<Config> {
        let mut config = Config::load_or_default(&self.config)?;
        config.root = self.root.map_or(Ok(config.root), std::path::absolute)?;
        config.state = self.state.map_or(Ok(config.state), std::path::absolute)?;
        if let Some(socket) = self.socket {
            config.socket = Some(std::path::absolute(config::socket_path(&socket))?);
        }
        config.log.level = self.log_level.unwrap_or(config.log.level);
        Ok(config)
    }
}
