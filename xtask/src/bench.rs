use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::Daemon;

use crate::{
    build::{binaries, cargo},
    progress::{heading, loud_step},
    tools,
};

/// Builds Wharf and the bench, and runs the bench with these arguments.
pub fn run(arguments: &[String]) -> Result<()> {
    heading("Build");
    tools::wasm_target()?;
    loud_step("build wharf, its shim and its compiler", binaries)?;
    loud_step("build the bench", || cargo(&["build", "--release", "-p", "wharf-bench"]))?;
    heading("Bench");
    let program = Daemon::bin_dir()?.join("wharf-bench");
    let status =
        Command::new(&program).args(arguments).status().with_context(|| format!("start {}", program.display()))?;
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(())
}
