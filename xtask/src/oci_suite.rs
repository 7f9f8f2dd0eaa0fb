use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::{Daemon, cache_dir, root, unpacked_package, wait_for};

use crate::{
    build::programs,
    progress::{heading, loud_step, say, step},
    tools::run as run_command,
};

/// OCI's own tests of a runtime: its last commit that the Go proxy has.
const MODULE: &str = "github.com/opencontainers/runtime-tools";
const VERSION: &str = "v0.9.1-0.20250523060157-0ea5ed0382a2";

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// What is not met, with the reason in docs/oci-conformance.md: the test, and how many of its points at most.
const KNOWN: &[(&str, usize)] = &[
    ("delete", 2),
    ("hooks", 1),
    ("hooks_stdin", 1),
    ("linux_cgroups_blkio", 1),
    ("linux_cgroups_hugetlb", 1),
    ("linux_cgroups_memory", 12),
    ("linux_cgroups_network", 32),
    ("linux_cgroups_relative_blkio", 1),
    ("linux_cgroups_relative_hugetlb", 2),
    ("linux_cgroups_relative_memory", 2),
    ("linux_cgroups_relative_network", 1),
    ("linux_mount_label", 1),
    ("linux_ns_itype", 1),
    ("linux_ns_path", 1),
    ("linux_process_apparmor_profile", 1),
    ("misc_props", 1),
    ("mounts", 8),
    ("pidfile", 1),
    ("poststart_fail", 1),
    ("prestart", 1),
    ("process_capabilities", 5),
    ("process_rlimits", 1),
    ("start", 1),
];

/// What to run.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// A runtime to compare with, instead of Debian's runc: its results are told and not judged
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Ours alone
    #[arg(long, conflicts_with = "peer")]
    alone: bool,
    /// Only these tests, by the names of their folders
    tests: Vec<String>,
}

/// A runtime under test, with state of its own.
struct Runtime {
    name: String,
    path: PathBuf,
    folder: TempDir,
    wrapper: PathBuf,
}

/// Builds OCI's validation tests with Go and runs them against our command line and another's, as one table.
pub fn run(arguments: &Arguments) -> Result<()> {
    heading("What is needed");
    root()?;
    let suite = step("OCI's validation tests (built with Go, once)", suite)?;
    let mut runtimes = Vec::new();
    loud_step("build wharf-oci", || programs(&["wharf-oci"]))?;
    runtimes.push(Runtime::new(Daemon::bin_dir()?.join("wharf-oci"))?);
    match &arguments.peer {
        _ if arguments.alone => {}
        Some(path) => runtimes.push(Runtime::new(path.clone())?),
        None => match step("Debian's runc", || unpacked_package("runc")) {
            Ok(folder) => runtimes.push(Runtime::new(folder.join("usr/sbin/runc"))?),
            Err(error) => say(&format!("  - nobody to compare with (--peer PATH, or --alone): {error:#}")),
        },
    }
    heading("Tests: points met and not; ← is worse than docs/oci-conformance.md says");
    let names: String = runtimes.iter().map(|runtime| format!(" {:>16}", runtime.name)).collect();
    say(&format!("  {:<34}{names}", "test"));
    let mut worse = Vec::new();
    for test in tests(&suite, &arguments.tests)? {
        let mut line = format!("  {test:<34}");
        for (number, runtime) in runtimes.iter().enumerate() {
            let cell = match one(&suite, &test, &runtime.wrapper) {
                Ok((good, bad)) => {
                    let known = KNOWN.iter().find(|(name, _)| *name == test).map_or(0, |(_, known)| *known);
                    let mark = number == 0 && bad > known;
                    if mark {
                        worse.push(test.clone());
                    }
                    format!("{good} / {bad}{}", if mark { " ←" } else { "" })
                }
                Err(error) => {
                    if number == 0 {
                        worse.push(format!("{test} ({error:#})"));
                    }
                    "hangs".into()
                }
            };
            let _ = write!(line, " {cell:>16}");
            runtime.tidy();
        }
        say(&line);
    }
    ensure!(worse.is_empty(), "worse than docs/oci-conformance.md says: {}", worse.join(", "));
    Ok(())
}

// === impl Runtime ===

impl Runtime {
    /// Behind a script that gives it state of its own: the tests know no options before the verb.
    fn new(path: PathBuf) -> Result<Self> {
        ensure!(path.is_file(), "{} is not there", path.display());
        let folder = tempfile::tempdir().context("make a folder for containers' state")?;
        let wrapper = folder.path().join("runtime");
        let state = folder.path().join("state");
        let script = format!("#!/bin/sh\nexec {} --root {} \"$@\"\n", path.display(), state.display());
        fs::write(&wrapper, script).context("write a wrapper")?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).context("write a wrapper")?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, path, folder, wrapper })
    }

    /// Tests that fail leave containers, and all leave the cgroups above those.
    fn tidy(&self) {
        let command = || {
            let mut command = Command::new(&self.path);
            command.arg("--root").arg(self.folder.path().join("state")).stderr(Stdio::null());
            command
        };
        let listed = command().args(["list", "--quiet"]).output();
        for id in listed.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default().lines() {
            let _ = command().args(["delete", "--force", id]).status();
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            for group in ["testdir/runtimetest", "testdir", "cgrouptest"] {
                // Absent, or with somebody in it: not ours to judge.
                let _ = fs::remove_dir(hierarchy.path().join(group));
            }
        }
    }
}

/// The folder with the sources, where the tests run, and their programs beside them.
fn suite() -> Result<PathBuf> {
    let folder = cache_dir()?.join(format!("runtime-tools-{VERSION}"));
    if folder.join("runtimetest").is_file() {
        return Ok(folder);
    }
    let out = Command::new("go").args(["mod", "download", "-json", &format!("{MODULE}@{VERSION}")]).output();
    let out = out.context("start go: install Go and run this again")?;
    ensure!(out.status.success(), "go mod download: {}", String::from_utf8_lossy(&out.stdout).trim());
    let told: Value = serde_json::from_slice(&out.stdout).context("understand go mod download")?;
    let sources = told["Dir"].as_str().context("go mod download names no folder")?;
    let work = tempfile::tempdir_in(cache_dir()?).context("make a folder to build in")?;
    let own = work.path().join("suite");
    run_command(Command::new("cp").args(["-r", "--no-preserve=mode", sources]).arg(&own))?;
    // The proxy's archive has only the list of what was vendored.
    fs::remove_dir_all(own.join("vendor")).context("remove vendor")?;
    let go = |arguments: &[&str]| {
        let mut command = Command::new("go");
        command.args(["build", "-mod=mod", "-tags", "netgo osusergo"]).args(arguments);
        run_command(command.env("CGO_ENABLED", "0").current_dir(&own))
    };
    for test in tests(&own, &[])? {
        go(&["-o", &format!("validation/{test}/{test}.t"), &format!("./validation/{test}")])?;
    }
    go(&["-o", "runtimetest", "./cmd/runtimetest"])?;
    // Whole or not at all.
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&own, &folder).with_context(|| format!("keep {}", folder.display()))?;
    Ok(folder)
}

fn tests(suite: &Path, wanted: &[String]) -> Result<Vec<String>> {
    let folder = suite.join("validation");
    let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name != "util" && (wanted.is_empty() || wanted.contains(name)));
    names.sort();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
        bail!("there is no test {unknown:?}");
    }
    Ok(names)
}

/// Runs one test; its points that were met and not. Some tests have no points and print an error, or end with one.
fn one(suite: &Path, test: &str, wrapper: &Path) -> Result<(usize, usize)> {
    let program = suite.join(format!("validation/{test}/{test}.t"));
    let output = tempfile::NamedTempFile::new().context("make a file for the output")?;
    let mut child = Command::new(&program)
        .current_dir(suite)
        .env("RUNTIME", wrapper)
        .stdin(Stdio::null())
        .stdout(output.reopen().context("open the output")?)
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    if !wait_for(LIMIT, || child.try_wait().is_ok_and(|status| status.is_some())) {
        let _ = child.kill();
        let _ = child.wait();
        bail!("{test} does not end within {LIMIT:?}");
    }
    let failed = !child.wait().with_context(|| format!("wait for {test}"))?.success();
    let text = fs::read_to_string(output.path()).context("read the output")?;
    let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    let (good, bad) = (count("ok "), count("not ok "));
    let told = if good + bad == 0 { count("    \"error\":") } else { 0 };
    Ok((good, bad + told + usize::from(failed)))
}
