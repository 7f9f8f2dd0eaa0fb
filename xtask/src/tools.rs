use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use wharf_testkit::{CniPlugins, Crictl, DockerRegistry, in_ci, unpacked_package};

use crate::{
    go_tools::{CRI_TOOLS_VERSION, build_crictl},
    guest::machine_tools,
    progress::{loud_step, say},
};

const WASM_TARGET: &str = "wasm32-wasip2";

/// The target of plugins: there, or added with rustup.
pub fn wasm_target() -> Result<()> {
    let there = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .output()
        .is_ok_and(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()).is_dir());
    if there {
        return Ok(());
    }
    loud_step(&format!("rustup target add {WASM_TARGET}"), || {
        run(Command::new("rustup").args(["target", "add", WASM_TARGET]))
    })
    .with_context(|| {
        format!("plugins are built for the Rust target {WASM_TARGET}: install it (rustup target add {WASM_TARGET})")
    })
}

/// The real crictl: there, or built into the cache where Go is.
pub fn crictl() -> Result<PathBuf> {
    if let Ok(found) = Crictl::find() {
        return Ok(found);
    }
    loud_step(&format!("build crictl {CRI_TOOLS_VERSION} with Go (once)"), build_crictl)
        .with_context(|| format!("crictl is needed: install Go or crictl {CRI_TOOLS_VERSION} and run this again"))?;
    Crictl::find()
}

/// What only some tests need: each that cannot be had is one line, and the tests that need it say that they are skipped.
/// In CI nothing that can be installed may be missing.
pub fn for_tests() -> Result<()> {
    wasm_target()?;
    missing("crictl", "the end-to-end tests", crictl().map(drop))?;
    missing("docker-registry", "tests that pull from a registry of others", DockerRegistry::find().map(drop))?;
    missing("a network plugin", "tests of pod networks", CniPlugins::find().map(drop))?;
    let apparmor = unpacked_package("apparmor").map(drop);
    missing("apparmor_parser", "tests of AppArmor profiles", apparmor)?;
    // Installed in CI, and for whoever asks for the guest: others may not want a QEMU, and its tests say they are skipped.
    if in_ci() { machine_tools().map(drop) } else { Ok(()) }
}

fn missing(what: &str, needed_by: &str, found: Result<()>) -> Result<()> {
    match found {
        Err(error) if in_ci() => Err(error),
        Err(error) => {
            say(&format!("  - {what} is missing, {needed_by} are skipped: {error:#}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Runs a command and wants success; else what it said.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    if !out.status.success() {
        bail!("{command:?}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}
