use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

#[derive(clap::Args)]
pub(super) struct Flags {
    /// The shell; for bash: wharf completions bash > /etc/bash_completion.d/wharf
    shell: Shell,
}

#[allow(clippy::unnecessary_wraps, reason = "as every verb")]
pub(super) fn run(flags: &Flags) -> Result<()> {
    clap_complete::generate(flags.shell, &mut super::Cli::command(), "wharf", &mut std::io::stdout());
    Ok(())
}
