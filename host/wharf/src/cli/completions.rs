use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::out;

#[derive(clap::Args)]
pub(super) struct Flags {
    /// The shell; for bash: wharf completions bash > /etc/bash_completion.d/wharf
    shell: Shell,
}

pub(super) fn run(flags: &Flags) -> Result<()> {
    // Into memory first: it would panic where its output cannot be written.
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut super::Cli::command(), "wharf", &mut script);
    out::stdout(&script)
}
