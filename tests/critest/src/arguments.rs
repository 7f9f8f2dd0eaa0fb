use std::path::PathBuf;

use clap::Parser;

/// Runs critest against a private Wharf daemon and judges every spec
#[derive(Debug, Parser)]
#[command(name = "wharf-critest")]
pub struct Arguments {
    /// The critest program
    #[arg(long)]
    pub critest: PathBuf,
    /// Only fetch and make what the images are made of: for a machine without a network
    #[arg(long)]
    pub prepare: bool,
    /// Exec, attach and port-forward over WebSocket instead of SPDY
    #[arg(long)]
    pub websocket: bool,
    /// How many specs at once
    #[arg(long, default_value_t = 1)]
    pub parallel: u32,
    /// The order of specs; a new one each time without it
    #[arg(long)]
    pub seed: Option<u32>,
    /// Only specs whose name matches this expression
    #[arg(long)]
    pub focus: Option<String>,
    /// The runtime handler whose containers are judged
    #[arg(long)]
    pub handler: Option<String>,
    /// A runtime that runs already is judged instead: its socket
    #[arg(long, requires = "certs_d")]
    pub endpoint: Option<PathBuf>,
    /// Where that runtime reads hosts.toml files; the mirrors of critest's registries are written there
    #[arg(long)]
    pub certs_d: Option<PathBuf>,
    /// More configuration of the private daemon, as TOML
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where critest's own output and report are kept
    #[arg(long)]
    pub keep: Option<PathBuf>,
}
