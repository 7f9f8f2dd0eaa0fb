use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::{
    build::{binaries, cargo_command},
    guest,
    progress::{heading, loud_step, say},
    tools,
};

/// What to test.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Only tests whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// Only these packages
    #[arg(long, short)]
    package: Vec<String>,
    #[command(flatten)]
    guest: guest::Arguments,
}

/// Packages that are tested by an invocation of their own, because their features must not reach the others.
const APART: &[&str] = &["wharf-compiler"];

/// Builds what the end-to-end tests start, then runs the tests.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.guest.wanted() {
        return guest::run(&arguments.guest, &arguments.package, arguments.filter.as_deref());
    }
    heading("What is needed");
    tools::for_tests()?;
    heading("Build");
    loud_step("build wharf, its shim and its compiler", binaries)?;
    heading("Tests");
    let skips = std::env::temp_dir().join(format!("wharf-skips-{}", std::process::id()));
    let result = tests(arguments, &skips);
    let skipped = fs::read_to_string(&skips).unwrap_or_default();
    // Absent when nothing was skipped.
    let _ = fs::remove_file(&skips);
    if !skipped.is_empty() {
        heading("Skipped on this machine");
        for line in skipped.lines() {
            say(&format!("  - {line}"));
        }
    }
    result
}

fn tests(arguments: &Arguments, skips: &std::path::Path) -> Result<()> {
    let mut selections: Vec<Vec<String>> = Vec::new();
    if arguments.package.is_empty() {
        selections.push(whole_workspace());
        selections.extend(APART.iter().map(|name| vec!["-p".to_owned(), (*name).to_owned()]));
    } else {
        selections.extend(arguments.package.iter().map(|name| vec!["-p".to_owned(), name.clone()]));
    }
    for selection in selections {
        let mut command = cargo_command();
        command.args(["test", "--release"]).args(&selection);
        command.arg("--");
        command.args(&arguments.filter);
        command.env("WHARF_TEST_SKIPS", skips);
        let status = command.status().context("start cargo test")?;
        ensure!(status.success(), "cargo test {}: {status}", selection.join(" "));
    }
    Ok(())
}

/// What cargo is told to build all tests but those apart: the same words each time, so that nothing is built twice.
pub fn whole_workspace() -> Vec<String> {
    let apart = APART.iter().flat_map(|name| ["--exclude".to_owned(), (*name).to_owned()]);
    std::iter::once("--workspace".to_owned()).chain(apart).collect()
}
