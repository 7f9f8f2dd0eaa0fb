use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// Builds the daemon, the shim and the compiler into target/release. Lines of cargo are shown.
pub fn binaries() -> Result<()> {
    cargo(&["build", "--release", "-p", "wharf", "-p", "wharf-shim"])?;
    // On its own: together with the daemon, cargo would give both the union of their features, and the daemon a
    // compiler (Cranelift) that must never run as root.
    cargo(&["build", "--release", "-p", "wharf-compiler"])
}

/// Builds these programs of the workspace as the tests are built, with the union of its features: nothing twice.
pub fn programs(names: &[&str]) -> Result<()> {
    let mut arguments = vec!["build", "--release", "--workspace", "--exclude", "wharf-compiler"];
    arguments.extend(names.iter().flat_map(|name| ["--bin", *name]));
    cargo(&arguments)
}

/// Runs cargo in the workspace.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    let mut command = cargo_command();
    command.args(arguments).stdin(Stdio::null());
    let status = command.status().context("start cargo")?;
    ensure!(status.success(), "cargo {}: {status}", arguments.join(" "));
    Ok(())
}

/// A cargo of the workspace, without what the cargo that runs us put into our environment.
pub fn cargo_command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
    command.current_dir(workspace());
    command
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}
