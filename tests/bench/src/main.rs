//! Every number of SPECIFICATION.md, ours and a peer's in one run.
//!
//! All runtimes are asked the same by the same client over a connection that stays open, in alternation, so that what
//! else the machine does falls on all of them. Without `--ours` a private daemon is started from the binaries beside
//! this program, and ended again.
#![forbid(unsafe_code)]

mod args;
mod machine;
mod native;
mod pods;
mod process;
mod report;
mod rows;
mod stats;
mod subject;
mod targets;

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use wharf_testkit::{Auth, Daemon, DaemonOptions, Kind, MIXED, Registry, busybox, mixed};

use self::{
    args::{Arguments, Measure},
    report::Report,
    rows::Plan,
    subject::Subject,
};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    wharf_testkit::root()?;
    let mut report = Report::new(machine::describe());
    if arguments.wants(Measure::PluginCall) {
        report.add(rows::plugin_call(arguments.calls())?);
    }
    if arguments.asks_a_daemon() {
        let mut daemon = match &arguments.ours {
            Some(_) => None,
            None => Some(Daemon::start(&DaemonOptions {
                name: "bench".into(),
                log_level: "warn".into(),
                ..DaemonOptions::default()
            })?),
        };
        let measured = measure(arguments, daemon.as_mut(), &mut report);
        measured.with_context(|| daemon.as_ref().map_or_else(String::new, |daemon| daemon.log_tail(20)))?;
        if let Some(mut daemon) = daemon {
            daemon.stop()?;
        }
    }
    report.judge();
    println!("{report}");
    if let Some(path) = &arguments.json {
        fs::write(path, report.json()?).with_context(|| format!("write {}", path.display()))?;
    }
    let broken = report.broken();
    anyhow::ensure!(!arguments.judge || broken.is_empty(), "promises are broken: {}", broken.join("; "));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn measure(arguments: &Arguments, mut daemon: Option<&mut Daemon>, report: &mut Report) -> Result<()> {
    // Lives until the images are pulled: they come from this process, over loopback, without TLS.
    let mut served = None;
    let image = match &arguments.image {
        Some(name) => name.clone(),
        None => {
            let registry = Registry::start(Auth::Open)?;
            registry.add("bench/busybox", "latest", &busybox(Kind::Docker)?);
            let name = format!("{}/bench/busybox:latest", registry.address());
            served = Some(registry);
            name
        }
    };
    let mut subjects = subjects(arguments, daemon.as_deref()).await?;
    for subject in &mut subjects {
        report.name(subject.name(), subject.version());
        subject.pull(&image).await.with_context(|| format!("{}: pull {image}", subject.name()))?;
    }
    drop(served);
    let logs = tempfile::tempdir().context("make a folder for logs")?;
    let plan = Plan {
        image,
        logs: logs.path().to_owned(),
        runs: arguments.runs(),
        execs: arguments.execs(),
        lists: arguments.lists(),
        restarts: arguments.restarts(),
        logs_written: arguments.logs(),
        quick: arguments.quick,
    };
    let mut result = Ok(());
    for (wanted, row) in [
        (Measure::Up, rows::Kind::Up),
        (Measure::Exec, rows::Kind::Exec),
        (Measure::Crowd, rows::Kind::Crowd),
        (Measure::Logs, rows::Kind::Logs),
    ] {
        if arguments.wants(wanted) && result.is_ok() {
            let measured = rows::run(row, &mut subjects, &plan, daemon.as_deref_mut()).await;
            result = measured.map(|rows| report.add(rows));
        }
    }
    if arguments.wants(Measure::Pull) && result.is_ok() {
        result = pull(arguments, &mut subjects).await.map(|rows| report.add(rows));
    }
    for subject in &mut subjects {
        // Also after a failure: nothing of the bench stays behind in a peer.
        let swept = subject.sweep().await.with_context(|| format!("{}: remove what is left", subject.name()));
        if result.is_ok() {
            result = swept;
        }
    }
    result
}

async fn pull(arguments: &Arguments, subjects: &mut [Subject]) -> Result<Vec<rows::Row>> {
    let pulls = arguments.pulls();
    if let Some(image) = &arguments.pull {
        return rows::pull(subjects, &vec![image.clone(); pulls]).await;
    }
    let registry = Registry::start(Auth::Open)?;
    // Another one each time, and none is removed before all are pulled: some file systems are slow to make files where
    // many have just been deleted, and it is not that which is measured.
    let names = (0..pulls.min(MIXED)).map(|variant| {
        registry.add("bench/mixed", &variant.to_string(), &mixed(variant)?);
        Ok(format!("{}/bench/mixed:{variant}", registry.address()))
    });
    let names: Vec<String> = names.collect::<Result<_>>()?;
    rows::pull(subjects, &names).await
}

async fn subjects(arguments: &Arguments, daemon: Option<&Daemon>) -> Result<Vec<Subject>> {
    let (socket, pid) = match (&arguments.ours, daemon) {
        (Some(socket), _) => (socket.clone(), arguments.daemon_pid),
        (None, Some(daemon)) => (daemon.socket(), daemon.pid()),
        (None, None) => anyhow::bail!("no daemon of ours"),
    };
    let mut subjects = vec![Subject::connect("wharf", &socket, pid).await?];
    for (name, socket) in &arguments.peers {
        subjects.push(Subject::connect(name, socket, None).await?);
    }
    Ok(subjects)
}
