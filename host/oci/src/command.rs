use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use wharf_error::{Error, Kind};

use crate::{
    out::Stop,
    report::{Format, Report},
    sealed,
    store::Store,
    verbs,
};

/// Run containers of OCI bundles, with runc's verbs and options: the command line as a verb of another program.
#[derive(Args, Debug)]
#[command(about = "Run containers of OCI bundles, with runc's verbs and options")]
pub struct Command {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// The same as a program of its own, called `wharf-oci`.
#[derive(Debug, Parser)]
#[command(name = "wharf-oci", version = VERSION, about = "Run containers of OCI bundles", disable_version_flag = true)]
pub struct Runtime {
    /// What is to be done.
    #[command(flatten)]
    pub command: Command,
    /// Print the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

/// As runc says it; others look for the line with `spec`.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Write more about what is done
    #[arg(long)]
    debug: bool,
    /// The file that is written to, besides errors on standard error
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How lines of the log are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
    /// The folder of containers' state; for others than root below $XDG_RUNTIME_DIR
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Not supported: control groups are files
    #[arg(long)]
    systemd_cgroup: bool,
    /// Taken for others' sake
    #[arg(long, hide = true, value_name = "WHEN")]
    rootless: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a container up to the point before its program
    Create(verbs::create::Flags),
    /// Let a created container execute its program
    Start(verbs::start::Flags),
    /// Print a container's state as JSON
    State(verbs::state::Flags),
    /// Send a signal to a container's first process
    Kill(verbs::kill::Flags),
    /// Remove a container that has ended, or with --force any
    Delete(verbs::delete::Flags),
    /// Create and start a container, and wait for its end
    Run(verbs::run::Flags),
    /// Run a further process in a container
    Exec(Box<verbs::exec::Flags>),
    /// List containers
    List(verbs::list::Flags),
    /// List the processes of a container
    Ps(verbs::ps::Flags),
    /// Freeze all processes of a container
    Pause(verbs::pause::Flags),
    /// Let frozen processes run on
    Resume(verbs::resume::Flags),
    /// Change limits of a container
    Update(Box<verbs::update::Flags>),
    /// Print what a container uses
    Events(verbs::events::Flags),
    /// Write a config.json to begin with
    Spec(verbs::spec::Flags),
    /// Print what this runtime supports, as JSON
    Features(verbs::features::Flags),
}

/// Runs a command. Errors go to standard error and to the log, and make the exit code: 1, or 255 of `exec`, as with runc.
/// `run` and `exec` that wait end with the exit code of the process.
pub fn run(command: Command) -> ExitCode {
    let Command { global, verb } = command;
    let report = Report::new(global.log.as_deref(), global.log_format, global.debug);
    let failure = if matches!(verb, Verb::Exec(_)) { 255 } else { 1 };
    match dispatch(&global, verb, &report) {
        Ok(code) => ExitCode::from(code),
        Err(Stop::Closed) => ExitCode::SUCCESS,
        Err(Stop::Failed(error)) => {
            report.error(&error.to_string());
            ExitCode::from(failure)
        }
    }
}

fn dispatch(global: &Global, verb: Verb, report: &Report) -> Result<u8, Stop> {
    if global.systemd_cgroup {
        return Err(Error::new(Kind::Unsupported, "--systemd-cgroup is not supported")
            .hint("use the cgroupfs driver: an absolute linux.cgroupsPath")
            .into());
    }
    if matches!(verb, Verb::Create(_) | Verb::Run(_) | Verb::Exec(_)) {
        sealed::seal()?;
    }
    let store = Store::new(global.root.clone());
    let done = match verb {
        Verb::Create(flags) => verbs::create::run(flags, &store, report),
        Verb::Start(flags) => verbs::start::run(&flags, &store),
        Verb::State(flags) => return verbs::state::run(&flags, &store),
        Verb::Kill(flags) => verbs::kill::run(&flags, &store),
        Verb::Delete(flags) => verbs::delete::run(&flags, &store, report),
        Verb::Run(flags) => verbs::run::run(flags, &store, report),
        Verb::Exec(flags) => verbs::exec::run(*flags, &store, report),
        Verb::List(flags) => return verbs::list::run(&flags, &store, report),
        Verb::Ps(flags) => return verbs::ps::run(&flags, &store),
        Verb::Pause(flags) => verbs::pause::run(&flags, &store),
        Verb::Resume(flags) => verbs::resume::run(&flags, &store),
        Verb::Update(flags) => verbs::update::run(&flags, &store, report),
        Verb::Events(flags) => return verbs::events::run(&flags, &store),
        Verb::Spec(flags) => verbs::spec::run(&flags),
        Verb::Features(flags) => return verbs::features::run(&flags),
    };
    Ok(done?)
}
