use anyhow::Result;

use crate::{
    go_tools::{self, CRI_TOOLS_VERSION},
    suite::Suite,
};

/// Builds critest with Go, Wharf and the program that runs one against the other, and runs it with these arguments.
pub fn run(arguments: &[String]) -> Result<()> {
    let name = format!("critest {CRI_TOOLS_VERSION}");
    let made = || Ok(go_tools::critest()?.join(format!("critest-{CRI_TOOLS_VERSION}")));
    Suite { name: &name, program: "wharf-critest", option: "--critest" }.run(made, arguments)
}
