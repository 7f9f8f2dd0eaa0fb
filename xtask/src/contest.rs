use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::{Daemon, cache_dir, root, unpacked_package};

use crate::{
    build::programs,
    progress::{heading, loud_step, say, step},
    tools::run as run_command,
};

/// youki's own tests of a runtime, at the commit that docs/oci-conformance.md tells of.
const REPOSITORY: &str = "https://github.com/youki-dev/youki";
const COMMIT: &str = "bc787206";

/// Seconds that a group may take; one that takes longer hangs.
const LIMIT: &str = "60";

/// How timeout(1) ends then.
const OUT_OF_TIME: i32 = 124;

/// What is not met, with the reason in docs/oci-conformance.md: group and test, or all of a group.
const KNOWN: &[(&str, &str)] = &[
    ("cgroup_v1_blkio", ""),
    ("checkpoint_restore", ""),
    ("exec", ""),
    ("exec_cpu_affinity", ""),
    ("hooks", ""),
    ("lifecycle", "checkpoint"),
    ("net_devices", ""),
    ("ns_itype", ""),
    ("poststop_fail", ""),
    ("process_capabilities", "process_capabilities_test"),
    ("process_capabilities_bounding", "bounding_unset_with_other_caps_fails_test"),
    ("seccomp_notify", ""),
];

/// What to run.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// A checkout of youki; without it GitHub is asked
    #[arg(long)]
    source: Option<PathBuf>,
    /// A runtime to compare with, instead of Debian's runc: its results are told and not judged
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Ours alone
    #[arg(long, conflicts_with = "peer")]
    alone: bool,
    /// Only these groups
    groups: Vec<String>,
}

/// The suite, built.
struct Contest {
    program: PathBuf,
    inside: PathBuf,
    folder: PathBuf,
}

/// What came of each test of a group, in contest's words; or of the group, when it told nothing of them.
type Outcomes = std::result::Result<BTreeMap<String, String>, &'static str>;

/// Builds youki's contest and runs it against our command line and another's: what differs or is not met, and the sums.
pub fn run(arguments: &Arguments) -> Result<()> {
    heading("What is needed");
    root()?;
    let source = match &arguments.source {
        Some(folder) => folder.clone(),
        None => step("youki's sources", clone)?,
    };
    let contest = loud_step("build contest", || Contest::build(&source))?;
    loud_step("build wharf-oci", || programs(&["wharf-oci"]))?;
    let mut runtimes = vec![Daemon::bin_dir()?.join("wharf-oci")];
    match &arguments.peer {
        _ if arguments.alone => {}
        Some(path) => runtimes.push(path.clone()),
        None => match step("Debian's runc", || unpacked_package("runc")) {
            Ok(folder) => runtimes.push(folder.join("usr/sbin/runc")),
            Err(error) => say(&format!("  - nobody to compare with (--peer PATH, or --alone): {error:#}")),
        },
    }
    heading("Tests that differ or are not met; ← is worse than docs/oci-conformance.md says");
    let mut sums = vec![BTreeMap::<String, usize>::new(); runtimes.len()];
    let mut worse = Vec::new();
    for group in contest.groups(&arguments.groups)? {
        let outcomes: Vec<_> = runtimes.iter().map(|runtime| contest.run(&group, runtime)).collect::<Result<_>>()?;
        for (sum, outcome) in sums.iter_mut().zip(&outcomes) {
            let words = outcome.iter().flat_map(|tests| tests.values().map(String::as_str));
            words.chain(outcome.as_ref().err().copied()).for_each(|word| *sum.entry(word.to_owned()).or_default() += 1);
        }
        worse.extend(tell(&group, &outcomes));
    }
    for (runtime, sum) in runtimes.iter().zip(sums) {
        say(&format!("  {}: {sum:?}", runtime.display()));
    }
    ensure!(worse.is_empty(), "worse than docs/oci-conformance.md says: {}", worse.join(", "));
    Ok(())
}

/// One line for each test that is not the same for all, or not met; those of ours that nobody knows.
fn tell(group: &str, outcomes: &[Outcomes]) -> Vec<String> {
    let mut names: Vec<&str> = outcomes.iter().flatten().flat_map(|tests| tests.keys().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        names.push("");
    }
    let mut worse = Vec::new();
    for name in names {
        let words: Vec<&str> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Ok(tests) => tests.get(name).map_or("absent", String::as_str),
                Err(word) => word,
            })
            .collect();
        let bad = |word: &str| !matches!(word, "ok" | "skipped");
        if words.iter().all(|word| *word == words[0]) && !bad(words[0]) {
            continue;
        }
        let known = KNOWN.iter().any(|(of, test)| *of == group && name.starts_with(test));
        let mark = bad(words[0]) && !known;
        if mark {
            worse.push(format!("{group} {name}"));
        }
        let cells: String = words.iter().map(|word| format!(" {word:>10}")).collect();
        say(&format!("  {:<64}{cells}{}", format!("{group} {name}"), if mark { " ←" } else { "" }));
    }
    worse
}

fn clone() -> Result<PathBuf> {
    let folder = cache_dir()?.join(format!("youki-{COMMIT}"));
    if !folder.is_dir() {
        // Beside, then renamed: whole or not at all.
        let new = tempfile::tempdir_in(cache_dir()?).context("make a folder to clone into")?;
        let mut command = Command::new("git");
        command.args(["clone", "--quiet", REPOSITORY]).arg(new.path());
        run_command(&mut command).context("youki's sources are not to be had: --source CHECKOUT")?;
        run_command(Command::new("git").arg("-C").arg(new.path()).args(["checkout", "--quiet", COMMIT]))?;
        std::fs::rename(new.keep(), &folder).with_context(|| format!("keep {}", folder.display()))?;
    }
    Ok(folder)
}

// === impl Contest ===

impl Contest {
    fn build(source: &Path) -> Result<Self> {
        let cargo = |target: &str, flags: &str, words: &[&str]| {
            let mut command = Command::new("cargo");
            command.args(["build", "--quiet", "--ignore-rust-version"]).args(words).current_dir(source);
            // With the toolchain that is here, not the one that youki names.
            command
                .env("RUSTUP_TOOLCHAIN", "stable")
                .env("CARGO_TARGET_DIR", source.join(target))
                .env("RUSTFLAGS", flags);
            run_command(&mut command)
        };
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        cargo("target", "", &["--bin", "contest"]).context("it needs libseccomp's headers: libseccomp-dev")?;
        // It runs in containers that have no libraries.
        cargo("target-static", "-Ctarget-feature=+crt-static", &["--bin", "runtimetest", "--target", &host])?;
        let bundle = source.join("bundle.tar.gz");
        std::fs::copy(source.join("tests/contest/contest/bundle.tar.gz"), bundle).context("copy contest's bundle")?;
        Ok(Self {
            program: source.join("target/debug/contest"),
            inside: source.join("target-static").join(host).join("debug/runtimetest"),
            folder: source.to_owned(),
        })
    }

    fn groups(&self, wanted: &[String]) -> Result<Vec<String>> {
        let out =
            Command::new(&self.program).arg("list").current_dir(&self.folder).output().context("start contest")?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let all: Vec<_> = text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        ensure!(!all.is_empty(), "contest names no groups: {}", String::from_utf8_lossy(&out.stderr).trim());
        if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
            anyhow::bail!("there is no group {unknown:?}: {}", all.join(" "));
        }
        Ok(all.into_iter().filter(|name| wanted.is_empty() || wanted.contains(name)).collect())
    }

    /// Runs one group by itself, for one that panics takes all others with it.
    fn run(&self, group: &str, runtime: &Path) -> Result<Outcomes> {
        let mut command = Command::new("timeout");
        // What a test mounts is nobody else's, and what it leaves running ends with it.
        command.args(["--kill-after=5", LIMIT, "unshare", "--mount", "--propagation", "private"]);
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg(&self.program).arg("run").arg("--runtime").arg(runtime);
        command.arg("--runtimetest").arg(&self.inside).args(["-t", group]);
        // Of youki alone it asks more than OCI's text does.
        command.env("RUNTIME_KIND", "runc").current_dir(&self.folder).stdin(Stdio::null());
        let before = cgroups();
        let out = command.output().context("start contest")?;
        // Of the containers that a test has left; what is not empty is not a test's.
        for left in cgroups().difference(&before) {
            let _ = std::fs::remove_dir(left);
        }
        let text = String::from_utf8_lossy(&out.stdout);
        let outcomes: BTreeMap<_, _> = text.lines().filter_map(outcome).collect();
        // It tells them at the group's end.
        Ok(match out.status.code() {
            _ if !outcomes.is_empty() => Ok(outcomes),
            Some(OUT_OF_TIME) => Err("hangs"),
            _ => Err("breaks off"),
        })
    }
}

/// The groups at the top of every hierarchy, and those below them.
fn cgroups() -> BTreeSet<PathBuf> {
    let below = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let top = below(Path::new("/sys/fs/cgroup"));
    let next: Vec<_> = top.iter().flat_map(|folder| below(folder)).collect();
    top.into_iter().chain(next).collect()
}

/// `1 / 4 : name : ok`
fn outcome(line: &str) -> Option<(String, String)> {
    let (number, rest) = line.trim().split_once(" : ")?;
    number.split_once(" / ")?.0.parse::<u32>().ok()?;
    let (name, word) = rest.rsplit_once(" : ")?;
    Some((name.trim().to_owned(), word.split(['.', ':']).next().unwrap_or(word).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read() {
        let read = |line| outcome(line).map(|(name, word)| format!("{name}={word}"));
        assert_eq!(
            read("2 / 12 : checkpoint and leave running : not ok").as_deref(),
            Some("checkpoint and leave running=not ok")
        );
        assert_eq!(read("# Start group hooks"), None);
        assert_eq!(read("time=x : level : ok"), None);
    }
}
