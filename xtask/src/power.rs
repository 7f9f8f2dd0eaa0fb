use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use wharf_testkit::{Daemon, wait_for};
use wharf_vm::{Disk, End, Event, Guest, Job, Kernel, LossyDisk, Machine, Program, Tools, Version, agent_beside};

use crate::{
    build::{binaries, programs},
    guest::machine_tools,
    progress::{duration, heading, loud_step, quote, say, step},
    tools,
};

/// How often the power is cut.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// How many times
    #[arg(long, default_value_t = 3)]
    cuts: u32,
    /// Repeats the choices of the run that printed it
    #[arg(long)]
    seed: Option<u64>,
}

/// Until the daemon of the guest has started and begins to work, or the check is through: all of it is interpreted.
const LIMIT: Duration = Duration::from_secs(420);
/// How long it works at most before the cut.
const LONGEST: f64 = 30.0;
/// How many sectors are not flushed when the power goes, at most, and how long it waits until there are so many.
const MOST_UNFLUSHED: usize = 8192;
const UNFLUSHED: Duration = Duration::from_secs(20);
const DISK: u64 = 4 << 30;
const MEMORY: u32 = 2048;
const PROCESSORS: u32 = 2;

/// Cuts the power of a guest in which images are pulled and pods run, on a disk that loses what was not flushed, and looks
/// at what is there afterwards: [`LossyDisk`], and `wharf-crash power`.
pub fn run(arguments: &Arguments) -> Result<()> {
    heading("What is needed");
    tools::wasm_target()?;
    let Some(tools) = machine_tools()? else { return Ok(()) };
    heading("Build");
    loud_step("build wharf, its shim and its compiler", binaries)?;
    loud_step("build the guest's agent and its work", || programs(&["wharf-vm-agent", "wharf-crash"]))?;
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random());
    heading(&format!("{} power cuts, seed {seed}", arguments.cuts));
    let kernel = step("the kernel", || Kernel::fetch(Version::V6_12))?;
    let cutter = Cutter { tools, kernel, agent: agent_beside()?, crash: Daemon::bin_dir()?.join("wharf-crash") };
    cutter
        .run(arguments.cuts, seed)
        .with_context(|| format!("cargo xtask power --cuts {} --seed {seed}", arguments.cuts))
}

struct Cutter {
    tools: Tools,
    kernel: Kernel,
    agent: PathBuf,
    crash: PathBuf,
}

// === impl Cutter ===

impl Cutter {
    fn run(&self, cuts: u32, seed: u64) -> Result<()> {
        let mut random = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().context("make a temporary folder")?;
        let disk = Disk::make(&dir.path().join("disk"), DISK)?;
        let lossy = LossyDisk::serve(&disk, &dir.path().join("disk.sock"))?;
        for cut in 0..cuts {
            let begin = Instant::now();
            // All of what was not flushed, none of it, or any part.
            let keeps = [0.0, 0.5, 0.9, 1.0][random.random_range(0..4)];
            let after = Duration::from_secs_f64(LONGEST * random.random::<f64>());
            let choices: u64 = random.random();
            let seed = choices.to_string();
            let mut guest =
                self.boot(&lossy, vec![self.program("check", &[]), self.program("work", &["--seed", &seed])])?;
            wait(&mut guest, "check", |event| matches!(event, Event::Ended { .. }))?;
            wait(&mut guest, "work", |event| matches!(event, Event::Line { text } if text == "work has begun"))?;
            let done = during(&mut guest, after)?;
            // At any time little is not flushed, for what must last is flushed at once: the cut is aimed at the time between.
            lossy.cut_at(random.random_range(1..MOST_UNFLUSHED));
            wait_for(UNFLUSHED, || lossy.is_cut());
            guest.cut();
            let mut kept = StdRng::seed_from_u64(choices);
            let (unflushed, lost) = lossy.power_cut(|| kept.random_bool(keeps))?;
            say(&format!(
                "  cut {} after {:.1} s of work ({done} lines): {lost} of {unflushed} sectors that were not flushed are lost; {}",
                cut + 1,
                after.as_secs_f64(),
                duration(begin.elapsed())
            ));
        }
        let mut guest = self.boot(&lossy, vec![self.program("check", &[])])?;
        wait(&mut guest, "check", |event| matches!(event, Event::Ended { .. }))
    }

    fn boot(&self, disk: &LossyDisk, programs: Vec<Program>) -> Result<Guest> {
        let disk = disk.address();
        let machine = Machine {
            tools: &self.tools,
            kernel: &self.kernel,
            agent: &self.agent,
            disk: &disk,
            memory: MEMORY,
            processors: PROCESSORS,
        };
        machine.boot(&Job::new(&self.kernel, programs)).context("boot the guest")
    }

    fn program(&self, what: &str, more: &[&str]) -> Program {
        let words = ["power", what].into_iter().chain(more.iter().copied());
        let env = ["WHARF_TEST_CACHE", "WHARF_BIN_DIR"];
        let env = env.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        Program {
            name: what.to_owned(),
            path: self.crash.clone(),
            args: words.map(str::to_owned).collect(),
            cwd: PathBuf::from("/"),
            env: env.collect::<BTreeMap<_, _>>(),
            limit: LIMIT,
            harness: false,
        }
    }
}

/// Until this event, with all that is said before passed on.
fn wait(guest: &mut Guest, what: &str, mut is_it: impl FnMut(&Event) -> bool) -> Result<()> {
    let deadline = Instant::now() + LIMIT + Duration::from_secs(60);
    loop {
        let Some(event) = guest.next(deadline).with_context(|| what.to_owned())? else {
            bail!("{what}: the guest died\n{}", guest.console(60));
        };
        match &event {
            Event::Line { text } => quote(text),
            Event::Failed { error } => bail!("{what}: the guest failed: {error}"),
            Event::Ended { end, program, .. } => {
                ensure!(*end == End::Exit(0), "{program}: {end:?}\n{}", guest.console(20));
            }
            Event::Ready { .. } | Event::Started { .. } => {}
        }
        if is_it(&event) {
            return Ok(());
        }
    }
}

/// Lets it work; how many lines it said. It must not end.
fn during(guest: &mut Guest, time: Duration) -> Result<usize> {
    let deadline = Instant::now() + time;
    let mut lines = 0;
    while let Some(event) = guest.next_within(deadline) {
        match event {
            Event::Line { text } if text.starts_with("pulled") || text.starts_with("removed") => lines += 1,
            Event::Line { text } => quote(&text),
            Event::Ended { end, .. } => bail!("the work ended by itself: {end:?}"),
            Event::Failed { error } => bail!("the guest failed: {error}"),
            Event::Ready { .. } | Event::Started { .. } => {}
        }
    }
    Ok(lines)
}
