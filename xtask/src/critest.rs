use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::Daemon;
use wharf_vm::{Program, Version};

use crate::{
    build::programs,
    go_tools::{self, CRI_TOOLS_VERSION},
    guest::{guest_environment, in_guest, machine_tools},
    progress::{loud_step, step},
    suite::Suite,
};

const PROGRAM: &str = "wharf-critest";
const OPTION: &str = "--critest";

/// Two minutes on a machine, most of an hour where every instruction is interpreted.
const LIMIT: Duration = Duration::from_secs(50 * 60);

/// Builds critest with Go, Wharf and the program that runs one against the other, and runs it with these arguments:
/// here, or in a guest.
pub fn run(arguments: &[String]) -> Result<()> {
    let name = format!("critest {CRI_TOOLS_VERSION}");
    let suite = Suite { name: &name, program: PROGRAM, option: OPTION };
    match arguments.iter().position(|word| word == "--guest") {
        None => suite.run(critest, |critest| suite.here(critest, arguments)),
        Some(at) => {
            let others = [&arguments[..at], &arguments[at + 1..]].concat();
            suite.run(critest, |critest| in_a_guest(&suite, critest, &others))
        }
    }
}

fn critest() -> Result<PathBuf> {
    Ok(go_tools::critest()?.join(format!("critest-{CRI_TOOLS_VERSION}")))
}

/// Under Linux 6.12 with cgroup v2 and AppArmor.
fn in_a_guest(suite: &Suite<'_>, critest: &Path, arguments: &[String]) -> Result<()> {
    let Some(tools) = machine_tools()? else { return Ok(()) };
    loud_step("build the guest's agent", || programs(&["wharf-vm-agent"]))?;
    // Which has no network.
    step("what the images are made of", || suite.here(critest, &["--prepare".into()]))?;
    let critest = critest.to_str().context("critest's path is no UTF-8")?.to_owned();
    let program = Program {
        name: PROGRAM.to_owned(),
        path: Daemon::bin_dir()?.join(PROGRAM),
        args: [OPTION.to_owned(), critest].into_iter().chain(arguments.iter().cloned()).collect(),
        cwd: PathBuf::from("/"),
        env: guest_environment(),
        limit: LIMIT,
        harness: false,
    };
    let results = loud_step("in the guest", || in_guest(&tools, Version::V6_12, false, vec![program]))?;
    ensure!(results.failed.is_empty(), "in the guest:\n  {}", results.failed.join("\n  "));
    Ok(())
}
