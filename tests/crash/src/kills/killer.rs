use std::{
    fmt, fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::task::block_in_place;

use super::shared::Shared;
use crate::node::Node;

/// Kills daemon and shims.
pub struct Killer {
    shared: Arc<Shared>,
    random: StdRng,
    killed: Killed,
}

/// What it has killed.
#[derive(Debug, Default)]
pub struct Killed {
    daemons: u32,
    starting: u32,
    shims: u32,
    took: Duration,
}

/// What comes next.
enum Next {
    Daemon,
    /// While it starts, this long after.
    Starting(Duration),
    Shim,
    /// Both, the shim while nobody watches it.
    Both,
}

/// Mostly short: the next kill shall meet what the last one left half done.
const LONGEST_PAUSE: f64 = 0.25;

// === impl Killer ===

impl Killer {
    pub fn new(shared: Arc<Shared>, random: StdRng) -> Self {
        Self { shared, random, killed: Killed::default() }
    }

    /// Kills so often, or until the time is over or something failed.
    ///
    /// # Errors
    ///
    /// When the daemon does not come back as it must.
    pub async fn run(mut self, node: &mut Node, kills: u32, limit: Duration) -> Result<Killed> {
        let begin = Instant::now();
        while self.killed.total() < kills && begin.elapsed() < limit && !self.shared.is_over() {
            let step = self.killed.total();
            if let Err(error) = self.next(node).await {
                // What made the daemon not come back may have been seen by others before.
                return Err(error.context(format!("at kill {step}")));
            }
            if step / 100 != self.killed.total() / 100 {
                println!("{}; {}", self.killed, self.shared.counts());
            }
        }
        self.killed.took = begin.elapsed();
        if let Err(error) = self.shared.outcome() {
            return Err(error.context(format!("seen at kill {}", self.killed.total())));
        }
        Ok(self.killed)
    }

    async fn next(&mut self, node: &mut Node) -> Result<()> {
        let next = self.choose();
        let pause = LONGEST_PAUSE * self.random.random::<f64>().powi(2);
        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        match next {
            Next::Shim => self.shim(),
            Next::Daemon => self.daemon(node)?,
            Next::Starting(after) => {
                self.daemon(node)?;
                node.daemon.spawn()?;
                tokio::time::sleep(after).await;
                block_in_place(|| node.daemon.kill()).context("kill the daemon that starts")?;
                self.killed.starting += 1;
            }
            Next::Both => {
                self.daemon(node)?;
                self.shim();
            }
        }
        match node.daemon.pid() {
            Some(_) => Ok(()),
            None => node.restart().await,
        }
    }

    // The same number of draws whatever comes of them.
    fn choose(&mut self) -> Next {
        let (kind, after) = (self.random.random_range(0..100), self.random.random_range(0..60));
        match kind {
            0..60 => Next::Daemon,
            60..72 => Next::Starting(Duration::from_millis(after)),
            72..88 => Next::Shim,
            _ => Next::Both,
        }
    }

    fn daemon(&mut self, node: &mut Node) -> Result<()> {
        block_in_place(|| node.daemon.kill())?;
        self.killed.daemons += 1;
        Ok(())
    }

    /// Any one, if there is one whose pod is known.
    fn shim(&mut self) {
        let folder = self.shared.state.join("pods");
        let mut pods: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        pods.sort();
        let Some(pod) = pods.choose(&mut self.random) else { return };
        let Some(name) = self.name(pod) else { return };
        let Some(pid) = shim_of(pod) else { return };
        // Before: whoever meets what comes of it must know why.
        self.shared.hit(&name);
        if kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
            self.killed.shims += 1;
        }
    }

    fn name(&self, pod: &Path) -> Option<String> {
        let hostname = fs::read_to_string(pod.join("hostname")).unwrap_or_default();
        match hostname.trim() {
            "" => self.shared.name_of(&pod.file_name()?.to_string_lossy()),
            name => Some(name.to_owned()),
        }
    }
}

// === impl Killed ===

impl Killed {
    fn total(&self) -> u32 {
        self.daemons + self.starting + self.shims
    }
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { daemons, starting, shims, took } = self;
        write!(f, "{} kills: {daemons} daemons, {starting} more while they started, {shims} shims", self.total())?;
        if took.is_zero() { Ok(()) } else { write!(f, ", in {:.0} s", took.as_secs_f64()) }
    }
}

// The process of the pod's shim, if the number is still its own.
fn shim_of(pod: &Path) -> Option<i32> {
    let pid = fs::read_to_string(pod.join("shim.pid")).ok()?.trim().parse().ok()?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let id = pod.file_name()?.to_string_lossy().into_owned();
    let line = String::from_utf8_lossy(&line);
    (line.starts_with("containerd-shim") && line.contains(&id)).then_some(pid)
}
