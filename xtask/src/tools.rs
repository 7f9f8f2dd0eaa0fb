use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use wharf_testkit::{Crictl, DockerRegistry, cache_dir, in_ci, unpacked_package};

use crate::{
    guest::machine_tools,
    progress::{loud_step, say},
};

const WASM_TARGET: &str = "wasm32-wasip2";
const CRICTL_VERSION: &str = "v1.36.0";
const CRICTL_MODULE: &str = "sigs.k8s.io/cri-tools";

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
    loud_step(&format!("build crictl {CRICTL_VERSION} with Go (once)"), build_crictl)
        .with_context(|| format!("crictl is needed: install Go or crictl {CRICTL_VERSION} and run this again"))?;
    Crictl::find()
}

/// What only some tests need: each that cannot be had is one line, and the tests that need it say that they are skipped.
/// In CI nothing that can be installed may be missing.
pub fn for_tests() -> Result<()> {
    wasm_target()?;
    missing("crictl", "the end-to-end tests", crictl().map(drop))?;
    missing("docker-registry", "tests that pull from a registry of others", DockerRegistry::find().map(drop))?;
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

// A module of our own that names the tool: `go install tool@version` asks the module's host more than the proxy may know.
fn build_crictl() -> Result<()> {
    let cache = cache_dir()?;
    let dir = cache.join("crictl-module");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    fs::write(
        dir.join("go.mod"),
        format!("module crictl.tools\n\ngo 1.24\n\nrequire {CRICTL_MODULE} {CRICTL_VERSION}\n"),
    )?;
    fs::write(
        dir.join("tools.go"),
        format!("//go:build tools\n\npackage tools\n\nimport _ \"{CRICTL_MODULE}/cmd/crictl\"\n"),
    )?;
    run(Command::new("go").args(["mod", "tidy"]).current_dir(&dir))?;
    let made = cache.join("bin/crictl");
    let flags = format!("-s -w -X {CRICTL_MODULE}/pkg/version.Version={CRICTL_VERSION}");
    let package = format!("{CRICTL_MODULE}/cmd/crictl");
    // Go writes the file when it is whole.
    run(Command::new("go")
        .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(&made)
        .arg(package)
        .current_dir(&dir))
}

fn run(command: &mut Command) -> Result<()> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    if !out.status.success() {
        bail!("{command:?}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}
