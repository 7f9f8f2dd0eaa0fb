use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::socket_path;

const VARIABLE: &str = "WHARF_SOCKET";
const DEFAULT: &str = "/run/wharf/wharf.sock";

/// Where the daemon listens.
#[derive(Args, Clone)]
pub(super) struct Endpoint {
    // Not by clap's `env` and `default_value`: what stands before the verb comes between this and those.
    /// The daemon's socket, a path or unix://PATH; before the verb or after it [env: WHARF_SOCKET] [default:
    /// /run/wharf/wharf.sock]
    #[arg(long, value_name = "SOCKET")]
    pub(super) socket: Option<PathBuf>,
}

// === impl Endpoint ===

impl Endpoint {
    /// The socket that is named, else the one of the environment, else the default.
    pub(super) fn socket(&self) -> PathBuf {
        let of_environment = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let named = self.socket.clone().or_else(of_environment);
        named.map_or_else(|| Path::new(DEFAULT).to_owned(), |named| socket_path(&named))
    }
}
