//! The command line: one verb a file.

mod client;
mod completions;
mod config;
mod credentials;
mod exec;
mod exit;
mod image;
mod images;
mod info;
mod inspect;
mod logs;
mod oci;
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

use clap::{Args, Parser, Subcommand};

use crate::daemon;

/// Container runtime with Wasm plugins: daemon and command line.
#[derive(Parser)]
#[command(name = "wharf", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
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

/// Where the daemon listens.
#[derive(Args, Clone)]
struct Endpoint {
    /// The daemon's socket
    #[arg(long, env = "WHARF_SOCKET", default_value = "/run/wharf/wharf.sock")]
    socket: PathBuf,
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
    let done = match Cli::parse().verb {
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
