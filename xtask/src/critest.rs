use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::{Daemon, in_ci, install_missing};

use crate::{
    build::{binaries, cargo},
    go_tools,
    progress::{heading, loud_step, say, step},
    tools,
};

/// Builds critest with Go, Wharf and the program that runs one against the other, and runs it with these arguments.
pub fn run(arguments: &[String]) -> Result<()> {
    heading("What is needed");
    tools::for_tests()?;
    install_missing(&[("ip", "iproute2")]).context("what makes a network namespace of its own")?;
    let version = go_tools::CRI_TOOLS_VERSION;
    let tools = match step(&format!("critest {version} (built with Go, once)"), go_tools::critest) {
        Err(error) if !in_ci() => {
            say(&format!("  - critest is skipped: {error:#}"));
            return Ok(());
        }
        tools => tools?,
    };
    heading("Build");
    loud_step("build wharf, its shim and its compiler", binaries)?;
    loud_step("build wharf-critest", || {
        cargo(&["build", "--release", "--workspace", "--exclude", "wharf-compiler", "--bin", "wharf-critest"])
    })?;
    heading("critest");
    let program = Daemon::bin_dir()?.join("wharf-critest");
    let status = Command::new(&program)
        .arg("--critest")
        .arg(tools.join(format!("critest-{version}")))
        .args(arguments)
        .status()
        .with_context(|| format!("start {}", program.display()))?;
    ensure!(status.success(), "critest: {status}");
    Ok(())
}
