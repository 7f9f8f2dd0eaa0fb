use anyhow::{Context as _, Result, anyhow};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Logs to standard error, where systemd's journal and a test's file both find it.
pub(super) fn init(log: &Log) -> Result<()> {
    let filter: EnvFilter = log.level.parse().with_context(|| format!("log.level = {:?}", log.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
    .map_err(|error| anyhow!("start logging: {error}"))
}
