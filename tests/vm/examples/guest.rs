//! Runs one command line in a guest and passes its output and end on:
//! `cargo run --release -p wharf-vm --example guest -- 6.1|6.12 [--systemd] COMMAND [ARGUMENT…]`

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use wharf_vm::{Disk, End, Event, Job, Kernel, Machine, Program, Tools, Version, agent_beside};

const LIMIT: Duration = Duration::from_secs(3600);

fn main() -> Result<ExitCode> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let version = match arguments.first().map(String::as_str) {
        Some("6.1") => Version::V6_1,
        Some("6.12") => Version::V6_12,
        _ => bail!("usage: guest 6.1|6.12 [--systemd] COMMAND [ARGUMENT…]"),
    };
    arguments.remove(0);
    let systemd = arguments.first().is_some_and(|word| word == "--systemd");
    if systemd {
        arguments.remove(0);
    }
    let tools = Tools::find()?;
    let kernel = Kernel::fetch(version)?;
    let program = Program {
        name: "the command".into(),
        path: arguments.first().context("no command")?.into(),
        args: arguments[1..].to_vec(),
        cwd: std::env::current_dir().context("find the working folder")?,
        env: std::env::vars()
            .filter(|(name, _)| name.starts_with("WHARF_") || name.starts_with("RUST_"))
            .collect::<BTreeMap<_, _>>(),
        limit: LIMIT,
        harness: false,
    };
    let dir = tempfile::tempdir().context("make a temporary folder")?;
    let disk = Disk::make(&dir.path().join("disk"), 8 << 30)?;
    let disk = disk.path().display().to_string();
    let agent = agent_beside()?;
    let machine = Machine { tools: &tools, kernel: &kernel, agent: &agent, disk: &disk, memory: 2048, processors: 2 };
    let job = Job::new(&kernel, vec![program]);
    let job = if systemd { job.under_systemd()? } else { job };
    let mut guest = machine.boot(&job)?;
    loop {
        match guest.next(Instant::now() + LIMIT)? {
            Some(Event::Line { text }) => println!("{text}"),
            Some(Event::Ended { end, left, .. }) => {
                left.iter().for_each(|what| eprintln!("left behind: {what}"));
                eprintln!("{end:?}\n{}", guest.console(20));
                return Ok(if end == End::Exit(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Some(Event::Failed { error }) => bail!("the guest failed: {error}"),
            Some(Event::Ready { .. } | Event::Started { .. }) => {}
            None => bail!("the guest died\n{}", guest.console(60)),
        }
    }
}
