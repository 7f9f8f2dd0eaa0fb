use anyhow::Result;

use crate::{
    build::{binaries, cargo},
    progress::{heading, loud_step},
    suite::run_beside,
    tools,
};

/// Builds Wharf and the bench, and runs the bench with these arguments.
pub fn run(arguments: &[String]) -> Result<()> {
    heading("Build");
    tools::wasm_target()?;
    loud_step("build wharf, its shim and its compiler", binaries)?;
    loud_step("build the bench", || cargo(&["build", "--release", "-p", "wharf-bench"]))?;
    heading("Bench");
    run_beside("wharf-bench", |command| {
        command.args(arguments);
    })
}
