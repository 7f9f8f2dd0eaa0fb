use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::build::cargo_command;

/// A built program of tests.
#[derive(Clone, Debug)]
pub struct TestProgram {
    /// The package it tests: `wharf-runtime`.
    pub package: String,
    /// The target: the library's or binary's name, or that of a file or folder in `tests/`.
    pub target: String,
    /// Where it is.
    pub path: PathBuf,
    /// The package's folder, where cargo runs it.
    pub folder: PathBuf,
}

/// Builds the tests that cargo selects by these words, and says where they are.
pub fn build(selection: &[String]) -> Result<Vec<TestProgram>> {
    let mut command = cargo_command();
    command.args(["test", "--release", "--no-run", "--message-format=json-render-diagnostics"]).args(selection);
    let out = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start cargo test --no-run")?;
    ensure!(out.status.success(), "cargo test --no-run {}: {}", selection.join(" "), out.status);
    let messages = String::from_utf8_lossy(&out.stdout);
    let programs = messages.lines().filter_map(|line| program(&serde_json::from_str(line).ok()?));
    Ok(programs.collect())
}

fn program(message: &Value) -> Option<TestProgram> {
    let wanted = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let manifest = PathBuf::from(message["manifest_path"].as_str().filter(|_| wanted)?);
    let text = std::fs::read_to_string(&manifest).ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = "))?;
    Some(TestProgram {
        package: name.trim_matches('"').to_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        path: message["executable"].as_str()?.into(),
        folder: manifest.parent()?.to_owned(),
    })
}
