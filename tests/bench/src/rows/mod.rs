//! What is measured, one row of the table each.

mod crowd;
mod exec;
mod logs;
mod plugin_call;
mod pull;
mod up;

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use wharf_testkit::Daemon;

pub use self::{plugin_call::plugin_call, pull::pull};
use crate::{stats::Summary, subject::Subject};

/// How the daemons are asked.
pub struct Plan {
    pub image: String,
    /// Where the containers' logs go.
    pub logs: PathBuf,
    pub runs: usize,
    pub execs: usize,
    /// How often all pods and containers are listed.
    pub lists: usize,
    /// How often a private daemon is killed and started.
    pub restarts: usize,
    /// How many containers write a big log.
    pub logs_written: usize,
    /// Fewer pods at once.
    pub quick: bool,
}

/// What asks daemons with pods.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Up,
    Exec,
    Crowd,
    Logs,
}

/// One line for people, one object for programs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Stable, for programs and for the targets.
    pub id: &'static str,
    pub what: &'static str,
    pub unit: &'static str,
    /// Ours first.
    pub of: Vec<(String, Summary)>,
}

/// Measures one kind of row, on all subjects in alternation. A private `daemon` of the first can be restarted.
pub async fn run(kind: Kind, subjects: &mut [Subject], plan: &Plan, daemon: Option<&mut Daemon>) -> Result<Vec<Row>> {
    match kind {
        Kind::Up => up::up(subjects, plan).await,
        Kind::Exec => exec::exec(subjects, plan).await,
        Kind::Crowd => crowd::crowd(subjects, plan, daemon).await,
        Kind::Logs => logs::logs(subjects, plan).await,
    }
}

/// Values of one row, collected by subject.
struct Collector {
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    values: Vec<Vec<f64>>,
}

// === impl Collector ===

impl Collector {
    fn new(id: &'static str, what: &'static str, unit: &'static str, subjects: &[Subject]) -> Self {
        Self { id, what, unit, values: vec![Vec::new(); subjects.len()] }
    }

    fn push(&mut self, subject: usize, value: f64) {
        if let Some(values) = self.values.get_mut(subject) {
            values.push(value);
        }
    }

    fn row(self, subjects: &[Subject]) -> Result<Row> {
        let summary = |(subject, values): (&Subject, Vec<f64>)| {
            let summary = Summary::of(values).with_context(|| format!("{}: nothing was measured", self.id))?;
            Ok((subject.name().to_owned(), summary))
        };
        let of = subjects.iter().zip(self.values).map(summary).collect::<Result<_>>()?;
        Ok(Row { id: self.id, what: self.what, unit: self.unit, of })
    }
}

/// That it goes on, where somebody watches.
fn progress(what: &str, done: usize, of: usize) {
    use std::io::IsTerminal as _;
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let end = if done == of { "\r\x1b[K" } else { "" };
        // Nothing depends on it.
        let _ = write!(out, "\r{what} {done}/{of}{end}");
    }
}
