use anyhow::Result;

use crate::{
    build::{binaries, cargo, programs},
    progress::{heading, loud_step},
    suite::run_beside,
    tools,
};

/// Builds Wharf and `wharf-crash`, and runs it with these arguments; for `points` the armed binaries too.
pub fn run(arguments: &[String]) -> Result<()> {
    heading("Build");
    tools::wasm_target()?;
    loud_step("build wharf, its shim and its compiler", binaries)?;
    if arguments.first().is_some_and(|word| word == "points") {
        loud_step("build wharf and its shim with points to die at", armed)?;
    }
    loud_step("build what kills them", || programs(&["wharf-crash"]))?;
    heading("Crashes");
    run_beside("wharf-crash", |command| {
        command.args(arguments);
    })
}

/// Beside the usual ones, under names of their own.
fn armed() -> Result<()> {
    let features = ["--features", "wharf/crash-points,wharf-shim/crash-points"];
    let names = ["--bin", "wharf-armed", "--bin", "containerd-shim-wharf-v1-armed"];
    cargo(&[&["build", "--release", "-p", "wharf", "-p", "wharf-shim"][..], &features, &names].concat())
}
