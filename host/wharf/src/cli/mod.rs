//! The command line: one verb a file.

mod client;
mod config;
mod image;
mod plugin;
mod version;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::daemon;

/// Container runtime with Wasm plugins: daemon and command line.
#[derive(Parser)]
#[command(name = "wharf", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve CRI until told to stop; containers go on without the daemon
    Daemon(daemon::Flags),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(config::Verb),
    /// Images of the daemon
    #[command(subcommand)]
    Image(image::Verb),
    /// Plugins of the daemon, and components in files
    #[command(subcommand)]
    Plugin(plugin::Verb),
    /// Versions of this binary and of the daemon
    Version(Endpoint),
}

/// Where the daemon listens.
#[derive(Args, Clone)]
struct Endpoint {
    /// The daemon's socket
    #[arg(long, env = "WHARF_SOCKET", default_value = "/run/wharf/wharf.sock")]
    socket: PathBuf,
}

/// Runs the verb; errors go to standard error in one line, and the exit code is 1.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Daemon(flags) => daemon::run(flags),
        Verb::Config(verb) => config::run(verb),
        Verb::Image(verb) => image::run(verb),
        Verb::Plugin(verb) => plugin::run(verb),
        Verb::Version(endpoint) => version::run(&endpoint),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wharf: {error:#}");
            ExitCode::FAILURE
        }
    }
}
