use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::in_ci;
use wharf_vm::{Disk, Job, Kernel, Machine, Program, Results, Tools, Version, agent_beside};

use crate::{
    build::{binaries, programs},
    progress::{duration, heading, loud_step, quote, say, step},
    test::whole_workspace,
    test_programs::{self, TestProgram},
    tools,
};

/// Whether and what to run in the guest.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Run the tests that another kernel judges in a guest: 6.12 and 6.1 in QEMU, with cgroup v2, AppArmor and systemd
    #[arg(long)]
    guest: bool,
    /// Only under this kernel: 6.12 or 6.1
    #[arg(long, requires = "guest")]
    kernel: Option<String>,
}

/// What is run under a kernel, and which of it: the guest interprets, so each test must be one that it adds to.
struct Plan {
    version: Version,
    /// Whether systemd is the guest's first process.
    systemd: bool,
    suites: &'static [Suite],
}

struct Suite {
    package: &'static str,
    /// Words of the tests' names, any of which is enough; none for all.
    only: &'static [&'static str],
}

const PLANS: &[Plan] = &[
    Plan {
        version: Version::V6_12,
        systemd: false,
        suites: &[
            Suite { package: "wharf-cgroups", only: &[] },
            Suite { package: "wharf-runtime", only: &[] },
            Suite { package: "wharf-shim", only: &[] },
            Suite { package: "wharf-e2e", only: OF_ANOTHER_KERNEL },
        ],
    },
    Plan { version: Version::V6_12, systemd: true, suites: &[Suite { package: "wharf-e2e", only: &["systemd::"] }] },
    Plan { version: Version::V6_1, systemd: false, suites: &[Suite { package: "wharf-runtime", only: &[] }] },
];

/// Of the end-to-end tests, what cgroup v2, AppArmor or an older kernel decides.
const OF_ANOTHER_KERNEL: &[&str] = &[
    "apparmor::",
    "exits::",
    "files::",
    "limits::",
    "namespaces::",
    "stats::",
    "stuck::frozen",
    "user_namespaces::",
    "users::",
    "walk_through::",
];

/// For all tests of one program.
const LIMIT: Duration = Duration::from_secs(1500);
const DISK: u64 = 8 << 30;
const MEMORY: u32 = 2048;
const PROCESSORS: u32 = 2;

impl Arguments {
    /// Whether the guest was asked for.
    pub fn wanted(&self) -> bool {
        self.guest
    }
}

/// Builds the tests and runs them in one guest a kernel.
pub fn run(arguments: &Arguments, packages: &[String], filter: Option<&str>) -> Result<()> {
    heading("What is needed");
    tools::for_tests()?;
    let Some(tools) = machine_tools()? else { return Ok(()) };
    let plans: Vec<_> =
        PLANS.iter().filter(|p| arguments.kernel.as_deref().is_none_or(|k| k == p.version.name())).collect();
    ensure!(!plans.is_empty(), "no tests for a kernel {:?}: it is 6.12 or 6.1", arguments.kernel);
    heading("Build");
    loud_step("build wharf, its shim and its compiler", binaries)?;
    loud_step("build the guest's agent", || programs(&["wharf-vm-agent"]))?;
    let selection = match packages {
        [] => whole_workspace(),
        some => some.iter().flat_map(|name| ["-p".to_owned(), name.clone()]).collect(),
    };
    let programs = loud_step("build the tests", || test_programs::build(&selection))?;
    let mut failed = Vec::new();
    for plan in plans {
        let name = plan.name();
        heading(&format!("The guest with {name}"));
        let jobs = plan.programs(&programs, filter);
        if jobs.is_empty() {
            say("  nothing of what was asked for runs there");
            continue;
        }
        let begin = Instant::now();
        let results = in_guest(&tools, plan.version, plan.systemd, jobs)?;
        say(&format!(
            "  {} passed, {} failed, {} ignored in {}",
            results.passed,
            results.failed.len(),
            results.ignored,
            duration(begin.elapsed())
        ));
        ensure!(results.passed + results.failed.len() > 0, "no test was run");
        failed.extend(results.failed.iter().map(|line| format!("{name}: {line}")));
    }
    ensure!(failed.is_empty(), "in the guest:\n  {}", failed.join("\n  "));
    Ok(())
}

/// What a guest is made with; in CI nothing that can be installed may be missing.
pub fn machine_tools() -> Result<Option<Tools>> {
    if wharf_testkit::root().is_ok() && wharf_testkit::apt_is_here() {
        // What stays missing is named by the next line.
        if let Err(error) = step("qemu, kmod and systemd", Tools::install_missing) {
            say(&format!("      {error:#}"));
        }
    }
    match Tools::find() {
        Ok(tools) => Ok(Some(tools)),
        Err(error) if in_ci() => Err(error),
        Err(error) => {
            say(&format!("  - the guest is skipped: {error:#}"));
            Ok(None)
        }
    }
}

// === impl Plan ===

impl Plan {
    fn name(&self) -> String {
        let systemd = if self.systemd { " and systemd" } else { "" };
        format!("Linux {}{systemd}", self.version.name())
    }

    fn programs(&self, built: &[TestProgram], filter: Option<&str>) -> Vec<Program> {
        let mut programs = Vec::new();
        for suite in self.suites {
            for test in built.iter().filter(|test| test.package == suite.package) {
                programs.push(program(test, suite.only, filter));
            }
        }
        programs
    }
}

/// Boots a guest with this kernel, holds it to what it is for, and runs programs in it.
pub fn in_guest(tools: &Tools, version: Version, systemd: bool, programs: Vec<Program>) -> Result<Results> {
    let kernel = step("the kernel", || Kernel::fetch(version))?;
    say(&format!("      {}", kernel.release));
    let dir = tempfile::tempdir().context("make a temporary folder")?;
    let disk = Disk::make(&dir.path().join("disk"), DISK)?;
    let disk = disk.path().display().to_string();
    let agent = agent_beside()?;
    let machine =
        Machine { tools, kernel: &kernel, agent: &agent, disk: &disk, memory: MEMORY, processors: PROCESSORS };
    let job = Job::new(&kernel, programs);
    let job = if systemd { job.under_systemd()? } else { job };
    let guest = step("boot", || machine.boot(&job))?;
    let facts = guest.facts.clone();
    say(&format!("      security modules {}; controllers {}", facts.security, facts.controllers));
    ensure!(facts.kernel == kernel.release, "the guest runs {}, not {}", facts.kernel, kernel.release);
    ensure!(facts.security.split(',').any(|module| module == "apparmor"), "the guest has no AppArmor");
    ensure!(facts.controllers.contains("memory"), "the guest's cgroups have no memory controller");
    wharf_vm::run(guest, &job, quote)
}

/// What holds on this machine holds in the guest: nothing may be skipped in CI.
pub fn guest_environment() -> BTreeMap<String, String> {
    ["CI", "WHARF_TEST_CACHE", "WHARF_BIN_DIR", "WHARF_CRICTL"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect()
}

fn program(test: &TestProgram, only: &[&str], filter: Option<&str>) -> Program {
    let args: Vec<String> = match filter {
        Some(filter) => vec![filter.to_owned()],
        None => only.iter().map(|word| (*word).to_owned()).collect(),
    };
    let mut env = guest_environment();
    env.insert("CARGO_MANIFEST_DIR".into(), test.folder.display().to_string());
    // For a test that has a reason to know.
    env.insert("WHARF_TEST_GUEST".into(), "1".into());
    let cwd = if test.folder.is_dir() { test.folder.clone() } else { Path::new("/").to_owned() };
    let name = format!("{}/{}", test.package, test.target);
    Program { name, path: test.path.clone(), args, cwd, env, limit: LIMIT, harness: true }
}
