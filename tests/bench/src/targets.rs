use serde::Serialize;

use crate::rows::Row;

/// A promise of SPECIFICATION.md.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Target {
    /// Its number there.
    pub number: &'static str,
    pub row: &'static str,
    pub check: Check,
    /// Promised and not kept yet, as SPECIFICATION.md says too: it is told and breaks nothing.
    pub open: bool,
}

/// What the median must be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Ours, in the row's unit.
    Under(f64),
    /// Of ours not the median but what 99 of 100 do not exceed.
    P99Under(f64),
    /// Of a difference that the row has as a column of its own.
    DifferenceUnder(f64),
    /// Each peer's divided by ours.
    PeersOverOurs(f64),
    /// The same where more is better: ours divided by each peer's.
    PeersUnderOurs(f64),
}

/// A target and what became of it in this run.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub target: Target,
    pub promise: String,
    /// None: not measured in this run.
    pub measured: Option<f64>,
    pub met: Option<bool>,
}

/// All promises that have a row.
const TARGETS: &[Target] = &[
    open("5.1", "up", Check::Under(20.0)),
    open("5.1", "up", Check::Under(6.0)),
    kept("5.1", "up", Check::P99Under(60.0)),
    kept("5.1", "up", Check::PeersOverOurs(4.0)),
    open("5.2", "exec", Check::Under(4.0)),
    kept("5.2", "exec", Check::PeersOverOurs(5.0)),
    open("5.3", "memory-1", Check::PeersOverOurs(2.0)),
    open("5.3", "memory-10", Check::PeersOverOurs(3.0)),
    kept("5.3", "memory-50", Check::Under(90.0)),
    kept("5.3", "memory-100", Check::PeersOverOurs(3.0)),
    open("5.4", "plugin-prepare", Check::DifferenceUnder(20.0)),
    open("5.4", "plugin-mounts", Check::DifferenceUnder(20.0)),
    open("5.4", "plugin-remove", Check::DifferenceUnder(20.0)),
    open("5.5", "pull", Check::Under(5.0)),
    kept("5.5", "pull", Check::PeersOverOurs(2.0)),
    open("5.5", "pull-cpu", Check::Under(5.0)),
    kept("5.5", "pull-cpu", Check::PeersOverOurs(2.0)),
    kept("5.5", "pull-memory", Check::Under(150.0)),
    kept("5.6", "restart", Check::Under(200.0)),
    kept("5.7", "lists", Check::Under(5.0)),
    kept("5.8", "log", Check::PeersUnderOurs(1.0)),
    kept("5.9", "up-cpu", Check::PeersOverOurs(3.0)),
    kept("5.10", "down", Check::PeersOverOurs(2.0)),
];

const fn kept(number: &'static str, row: &'static str, check: Check) -> Target {
    Target { number, row, check, open: false }
}

const fn open(number: &'static str, row: &'static str, check: Check) -> Target {
    Target { number, row, check, open: true }
}

/// Holds the rows to the promises.
pub fn judge(rows: &[Row]) -> Vec<Verdict> {
    TARGETS.iter().map(|target| verdict(*target, rows.iter().find(|row| row.id == target.row))).collect()
}

fn verdict(target: Target, row: Option<&Row>) -> Verdict {
    let ours = row.and_then(|row| row.of.first()).map(|(_, summary)| summary.median);
    let measured = match target.check {
        Check::Under(_) => ours,
        Check::P99Under(_) => row.and_then(|row| row.of.first()).map(|(_, summary)| summary.p99),
        Check::DifferenceUnder(_) => {
            row.and_then(|row| row.of.iter().find(|(name, _)| name == "difference")).map(|(_, summary)| summary.median)
        }
        // Of several peers the best one counts.
        Check::PeersOverOurs(_) => row.zip(ours).and_then(|(row, ours)| {
            row.of.iter().skip(1).map(|(_, summary)| summary.median / ours).min_by(f64::total_cmp)
        }),
        Check::PeersUnderOurs(_) => row.zip(ours).and_then(|(row, ours)| {
            row.of.iter().skip(1).map(|(_, summary)| ours / summary.median).min_by(f64::total_cmp)
        }),
    };
    let (unit, what) = row.map_or(("", target.row), |row| (row.unit, row.what));
    let (promise, met) = match target.check {
        Check::Under(limit) | Check::DifferenceUnder(limit) => {
            let more = if matches!(target.check, Check::DifferenceUnder(_)) { " more than native" } else { "" };
            (format!("{what}: under {limit} {unit}{more}"), measured.map(|value| value < limit))
        }
        Check::P99Under(limit) => {
            (format!("{what}: 99 of 100 under {limit} {unit}"), measured.map(|value| value < limit))
        }
        Check::PeersOverOurs(factor) => {
            (format!("{what}: under 1/{factor} of the peer's"), measured.map(|value| value > factor))
        }
        Check::PeersUnderOurs(factor) => {
            (format!("{what}: over {factor} times the peer's"), measured.map(|value| value > factor))
        }
    };
    Verdict { target, promise, measured, met }
}

// === impl Verdict ===

impl Verdict {
    /// Whether a promise is broken that was kept before.
    pub fn breaks(&self) -> bool {
        self.met == Some(false) && !self.target.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Summary;

    fn row(id: &'static str, medians: &[(&str, f64)]) -> Row {
        let of = medians.iter().map(|(name, value)| ((*name).to_owned(), Summary::of(vec![*value]).unwrap())).collect();
        Row { id, what: id, unit: "ms", of }
    }

    #[test]
    fn medians_are_held_to_promises_and_the_best_peer_counts() {
        let rows = [
            row("up", &[("wharf", 10.0), ("slow", 400.0), ("quick", 30.0)]),
            row("plugin-mounts", &[("wasm", 30.0), ("native", 1.0), ("difference", 19.0)]),
        ];
        let met = |number: &str, row: &str| -> Vec<Option<bool>> {
            let all = judge(&rows);
            all.iter().filter(|v| (v.target.number, v.target.row) == (number, row)).map(|v| v.met).collect()
        };
        assert_eq!(met("5.1", "up"), [Some(true), Some(false), Some(true), Some(false)]);
        let broken: Vec<_> = judge(&rows).into_iter().filter(Verdict::breaks).map(|v| v.promise).collect();
        assert_eq!(broken, ["up: under 1/4 of the peer's"], "and what is not kept yet breaks nothing");
        assert_eq!(met("5.4", "plugin-mounts"), [Some(true)]);
        assert_eq!(met("5.6", "restart"), [None], "what was not measured is not judged");
    }

    #[test]
    fn without_a_peer_nothing_is_said_of_peers() {
        let all = judge(&[row("memory-10", &[("wharf", 10.0)])]);
        let memory = all.iter().find(|verdict| verdict.target.row == "memory-10").unwrap();
        assert_eq!((memory.measured, memory.met), (None, None));
    }
}
