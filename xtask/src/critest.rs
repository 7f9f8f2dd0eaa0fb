use std::{path::PathBuf, time::Duration};

use anyhow::Result;

use crate::{
    go_tools::{self, CRI_TOOLS_VERSION},
    progress::step,
    suite::Suite,
};

/// Two minutes on a machine, most of an hour where every instruction is interpreted.
const LIMIT: Duration = Duration::from_secs(50 * 60);

/// Builds critest with Go, Wharf and the program that runs one against the other, and runs it with these arguments:
/// here, or in a guest.
pub fn run(arguments: &[String]) -> Result<()> {
    let name = format!("critest {CRI_TOOLS_VERSION}");
    let suite = Suite { name: &name, program: "wharf-critest", option: "--critest" };
    match arguments.iter().position(|word| word == "--guest") {
        None => suite.run(critest, |critest| suite.here(critest, arguments)),
        Some(at) => {
            let others = [&arguments[..at], &arguments[at + 1..]].concat();
            suite.run(critest, |critest| {
                // The guest has no network.
                step("what the images are made of", || suite.here(critest, &["--prepare".into()]))?;
                suite.in_guest(critest, &others, false, LIMIT)
            })
        }
    }
}

fn critest() -> Result<PathBuf> {
    Ok(go_tools::critest()?.join(format!("critest-{CRI_TOOLS_VERSION}")))
}
