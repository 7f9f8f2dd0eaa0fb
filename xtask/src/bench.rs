use anyhow::Result;

use crate::{
    build::{binaries, programs},
    progress::{heading, loud_step},
    suite::run_beside,
    tools,
};

/// Builds Wharf and the bench, and runs the bench with these arguments.
pub fn run(arguments: &[String]) -> Result<()> {
    heading("Build");
    tools::wasm_target()?;
    loud_step("build wharf, its shim and its compiler", binaries)?;
    loud_step("build the bench", || programs(&["wharf-bench"]))?;
    heading("Bench");
    run_beside("wharf-bench", |command| {
        command.args(arguments);
    })
}
