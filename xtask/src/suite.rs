use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::{Daemon, in_ci, install_missing};

use crate::{
    build::{binaries, programs},
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
