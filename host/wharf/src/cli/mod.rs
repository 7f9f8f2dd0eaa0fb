//! The command line: one verb a file.

mod client;
mod completions;
mod config;
mod credentials;
mod endpoint;
mod exec;
mod exit;
mod find;
mod image;
mod images;
mod info;
mod inspect;
mod logs;
mod oci;
mod out;
mod plugin;
mod pods;
mod ps;
mod pull;
mod rmi;
mod select;
mod snapshots;
mod table;
mod version;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use self::endpoint::Endpoint;
use crate::daemon;

/// Container runtime with Wasm plugins: daemon and command line.
#[derive(Parser)]
#[command(name = "wharf", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    before: Endpoint,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve CRI until told to stop; containers go on without the daemon
    Daemon(daemon::Flags),
    /// Pull an image, with a bar a layer
    Pull(pull::Flags),
    /// List images
    Images(images::Flags),
    /// Remove images: by a tag, that alone while the image has others
    Rmi(rmi::Flags),
    /// List containers
    Ps(ps::Flags),
    /// List pods
    Pods(pods::Flags),
    /// Print a container's log
    Logs(logs::Flags),
    /// Run a command in a running container
    Exec(exec::Flags),
    /// Show all that is known of containers, pods or images, as JSON
    Inspect(inspect::Flags),
    /// List snapshots: layers of images, roots of containers
    Snapshots(snapshots::Flags),
    /// Show the daemon, what this node has, what it lacks and what that costs
    Info(info::Flags),
    /// Print the defaults or what is configured, or check it
    #[command(subcommand)]
    Config(config::Verb),
    /// Images of the daemon
    #[command(subcommand)]
    Image(image::Verb),
    /// Plugins of the daemon, and components in files
    #[command(subcommand)]
    Plugin(plugin::Verb),
    /// Run containers of OCI bundles, with runc's options; also when called as `wharf-oci`
    Oci(oci::Flags),
    /// Versions of this binary and of the daemon
    Version(version::Flags),
    /// Print a shell's completions
    Completions(completions::Flags),
}

/// The containerd namespace of the pods' images.
const CRI_NAMESPACE: &str = "k8s.io";

/// Whose images.
#[derive(Args, Clone)]
struct Namespace {
    /// The containerd namespace; k8s.io is the one that the kubelet and crictl see
    #[arg(long, short, default_value = CRI_NAMESPACE)]
    namespace: String,
}

/// Runs the verb; errors go to standard error in one line, and the exit code tells what sort they are of.
pub(crate) fn run() -> ExitCode {
    if let Some(code) = oci::called_as_runtime() {
        return code;
    }
    let Cli { before, mut verb } = Cli::parse();
    if let Some(before) = before.socket {
        let Some(own) = verb.socket() else {
            Cli::command().error(ErrorKind::ArgumentConflict, "--socket: this verb has no use for one").exit();
        };
        own.get_or_insert(before);
    }
    let done = match verb {
        Verb::Daemon(flags) => daemon::run(flags),
        Verb::Config(verb) => config::run(verb),
        Verb::Image(verb) => image::run(verb),
        Verb::Plugin(verb) => plugin::run(verb),
        Verb::Pull(flags) => pull::run(flags),
        Verb::Images(flags) => images::run(flags),
        Verb::Rmi(flags) => rmi::run(flags),
        Verb::Ps(flags) => ps::run(flags),
        Verb::Pods(flags) => pods::run(&flags),
        Verb::Logs(flags) => logs::run(flags),
        Verb::Exec(flags) => exec::run(flags),
        Verb::Inspect(flags) => inspect::run(flags),
        Verb::Snapshots(flags) => snapshots::run(flags),
        Verb::Info(flags) => info::run(&flags),
        Verb::Oci(flags) => return oci::run(flags),
        Verb::Version(flags) => version::run(&flags),
        Verb::Completions(flags) => completions::run(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

// === impl Verb ===

impl Verb {
    /// The socket that it was told, of those that have one.
    fn socket(&mut self) -> Option<&mut Option<PathBuf>> {
        let endpoint = match self {
            Self::Daemon(flags) => return Some(&mut flags.socket),
            Self::Pull(flags) => &mut flags.endpoint,
            Self::Images(flags) => &mut flags.endpoint,
            Self::Rmi(flags) => &mut flags.endpoint,
            Self::Ps(flags) => &mut flags.endpoint,
            Self::Pods(flags) => &mut flags.endpoint,
            Self::Logs(flags) => &mut flags.endpoint,
            Self::Exec(flags) => &mut flags.endpoint,
            Self::Inspect(flags) => &mut flags.endpoint,
            Self::Snapshots(flags) => &mut flags.endpoint,
            Self::Info(flags) => &mut flags.endpoint,
            Self::Version(flags) => &mut flags.endpoint,
            Self::Image(image::Verb::Import { endpoint, .. }) | Self::Plugin(plugin::Verb::Ls { endpoint, .. }) => {
                endpoint
            }
            Self::Plugin(plugin::Verb::Inspect { .. }) | Self::Config(_) | Self::Oci(_) | Self::Completions(_) => {
                return None;
            }
        };
        Some(&mut endpoint.socket)
    }
}
