use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::{Daemon, in_ci, install_missing};
use wharf_vm::{Program, Version};

use crate::{
    build::{binaries, programs},
    guest::{guest_environment, in_guest, machine_tools},
    progress::{heading, loud_step, say, step},
    tools,
};

/// A suite of others, and the program of ours that runs it on a private daemon.
pub struct Suite<'a> {
    /// What it is called, with its version.
    pub name: &'a str,
    /// Our program.
    pub program: &'a str,
    /// The option by which it is told where the suite is.
    pub option: &'a str,
}

impl Suite<'_> {
    /// Has `made` build the suite with Go, builds Wharf and our program, and has `judge` run one with the other. Outside
    /// CI a suite that cannot be had is skipped in one line.
    pub fn run(&self, made: impl FnOnce() -> Result<PathBuf>, judge: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        heading("What is needed");
        tools::for_tests()?;
        install_missing(&[("ip", "iproute2")]).context("what makes a network namespace of its own")?;
        let suite = match step(&format!("{} (built with Go, once)", self.name), made) {
            Err(error) if !in_ci() => {
                say(&format!("  - {} is skipped: {error:#}", self.name));
                return Ok(());
            }
            suite => suite?,
        };
        heading("Build");
        loud_step("build wharf, its shim and its compiler", binaries)?;
        loud_step(&format!("build {}", self.program), || programs(&[self.program]))?;
        heading(self.name);
        judge(&suite)
    }

    /// On this machine, with these arguments.
    pub fn here(&self, suite: &Path, arguments: &[String]) -> Result<()> {
        run_beside(self.program, |command| {
            command.arg(self.option).arg(suite).args(arguments);
        })
    }

    /// Under Linux 6.12 with cgroup v2 and AppArmor, with these arguments.
    ///
    /// `systemd`: it is the guest's first process. `limit`: of the whole, where every instruction is interpreted.
    pub fn in_guest(&self, suite: &Path, arguments: &[String], systemd: bool, limit: Duration) -> Result<()> {
        let Some(tools) = machine_tools()? else { return Ok(()) };
        loud_step("build the guest's agent", || programs(&["wharf-vm-agent"]))?;
        let suite = suite.to_str().with_context(|| format!("the path of {} is no UTF-8", self.name))?.to_owned();
        let program = Program {
            name: self.program.to_owned(),
            path: Daemon::bin_dir()?.join(self.program),
            args: [self.option.to_owned(), suite].into_iter().chain(arguments.iter().cloned()).collect(),
            cwd: PathBuf::from("/"),
            env: guest_environment(),
            limit,
            harness: false,
        };
        let results = loud_step("in the guest", || in_guest(&tools, Version::V6_12, systemd, vec![program]))?;
        ensure!(results.failed.is_empty(), "in the guest:\n  {}", results.failed.join("\n  "));
        Ok(())
    }
}

/// Runs a program that lies beside the daemon and wants success.
pub fn run_beside(name: &str, prepare: impl FnOnce(&mut Command)) -> Result<()> {
    let program = Daemon::bin_dir()?.join(name);
    let mut command = Command::new(&program);
    prepare(&mut command);
    let status = command.status().with_context(|| format!("start {}", program.display()))?;
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(())
}
