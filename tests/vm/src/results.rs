use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    job::{End, Event, Job},
    machine::Guest,
};

/// The agent kills a program at its limit; this long after it, it is the guest that hangs.
const GRACE: Duration = Duration::from_secs(60);

/// What came of the programs of a job.
#[derive(Debug, Default)]
pub struct Results {
    /// Tests that passed, by the words of Rust's test harness.
    pub passed: usize,
    /// Tests that were left out by their name or mark.
    pub ignored: usize,
    /// What failed, one a line: `PROGRAM: test NAME`, or what else went wrong with a program.
    pub failed: Vec<String>,
}

/// One program's.
#[derive(Debug, Default)]
struct Tests {
    outcomes: BTreeMap<String, String>,
    summary: bool,
}

/// Reads what a guest tells until all programs of its job have ended. `line` hears each line of output as it comes.
///
/// # Errors
///
/// When the guest dies or hangs, with what it was at and the end of its console.
pub fn run(mut guest: Guest, job: &Job, mut line: impl FnMut(&str)) -> Result<Results> {
    let mut results = Results::default();
    for program in &job.programs {
        let deadline = Instant::now() + program.limit + GRACE;
        let mut tests = Tests::default();
        loop {
            match guest.next(deadline) {
                Ok(Some(Event::Line { text })) => {
                    tests.read(&text);
                    line(&text);
                }
                Ok(Some(Event::Ended { end, left, took, .. })) => {
                    line(&format!("{}: {end:?} after {:.1} s", program.name, took.as_secs_f64()));
                    tests.summary |= !program.harness;
                    results.add(&program.name, &tests, &end, &left);
                    break;
                }
                Ok(Some(Event::Failed { error })) => bail!("the guest failed at {}: {error}", program.name),
                Ok(Some(Event::Started { .. } | Event::Ready { .. })) => {}
                Ok(None) => bail!("the guest died at {}\n{}", program.name, guest.console(60)),
                Err(error) => return Err(error.context(format!("at {}", program.name))),
            }
        }
    }
    Ok(results)
}

// === impl Results ===

impl Results {
    fn add(&mut self, program: &str, tests: &Tests, end: &End, left: &[String]) {
        self.passed += tests.count("ok");
        self.ignored += tests.count("ignored");
        let failed = tests.outcomes.iter().filter(|(_, outcome)| *outcome == "FAILED");
        let before = self.failed.len();
        self.failed.extend(failed.map(|(name, _)| format!("{program}: test {name}")));
        let known = self.failed.len() > before;
        match end {
            End::Exit(0) if !tests.summary => self.failed.push(format!("{program}: told of no test")),
            End::Exit(0) => {}
            // 101 is how the harness says that tests failed, and those have been named.
            End::Exit(101) if known => {}
            other => self.failed.push(format!("{program}: {other:?}")),
        }
        self.failed.extend(left.iter().map(|what| format!("{program}: left behind: {what}")));
    }
}

// === impl Tests ===

impl Tests {
    // `test NAME ... ok`, `test NAME ... ignored, WHY`, `test NAME - should panic ... ok`, `test result: ok. …`
    fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test ") else { return };
        if rest.starts_with("result: ") {
            self.summary = true;
        } else if let Some((name, outcome)) = rest.rsplit_once(" ... ") {
            let outcome = outcome.split(',').next().unwrap_or(outcome);
            self.outcomes.insert(name.to_owned(), outcome.to_owned());
        }
    }

    fn count(&self, outcome: &str) -> usize {
        self.outcomes.values().filter(|o| *o == outcome).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], end: &End) -> Results {
        let (mut tests, mut results) = (Tests::default(), Results::default());
        lines.iter().for_each(|line| tests.read(line));
        results.add("p", &tests, end, &[]);
        results
    }

    #[test]
    fn outcomes_are_read_from_the_harness_s_words() {
        let lines = [
            "running 3 tests",
            "test a::b ... ok",
            "test c ... ignored, slow",
            "test d ... FAILED",
            "test result: FAILED. 1",
        ];
        let results = read(&lines, &End::Exit(101));
        assert_eq!((results.passed, results.ignored), (1, 1));
        assert_eq!(results.failed, ["p: test d"]);
    }

    #[test]
    fn a_program_that_says_nothing_or_dies_after_its_results_has_failed() {
        assert_eq!(read(&[], &End::Exit(0)).failed, ["p: told of no test"]);
        let whole = ["test a ... ok", "test result: ok. 1 passed"];
        assert!(read(&whole, &End::Exit(0)).failed.is_empty());
        assert_eq!(read(&whole, &End::Signal(11)).failed, ["p: Signal(11)"]);
    }
}
