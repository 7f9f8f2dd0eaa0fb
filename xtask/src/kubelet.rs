use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::{Daemon, in_ci, install_missing};

use crate::{
    build::{binaries, cargo},
    go_tools,
    progress::{heading, loud_step, say, step},
    tools,
};

/// Builds a kubelet with Go, Wharf and the program that runs one on the other, and runs it with these arguments.
pub fn run(arguments: &[String]) -> Result<()> {
    heading("What is needed");
    tools::for_tests()?;
    install_missing(&[("ip", "iproute2")]).context("what makes a network namespace of its own")?;
    let version = go_tools::KUBELET_VERSION;
    let kubelet = match step(&format!("kubelet {version} (built with Go, once)"), go_tools::kubelet) {
        Err(error) if !in_ci() => {
            say(&format!("  - the kubelet is skipped: {error:#}"));
            return Ok(());
        }
        kubelet => kubelet?,
    };
    heading("Build");
    loud_step("build wharf, its shim and its compiler", binaries)?;
    loud_step("build wharf-kubelet", || {
        cargo(&["build", "--release", "--workspace", "--exclude", "wharf-compiler", "--bin", "wharf-kubelet"])
    })?;
    heading("kubelet");
    let program = Daemon::bin_dir()?.join("wharf-kubelet");
    let status = Command::new(&program)
        .arg("--kubelet")
        .arg(kubelet)
        .args(arguments)
        .status()
        .with_context(|| format!("start {}", program.display()))?;
    ensure!(status.success(), "kubelet: {status}");
    Ok(())
}
