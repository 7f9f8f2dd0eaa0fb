use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::config::{self, Config};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Print the default configuration, commented
    Default,
    /// Check a configuration file and the conf.d folder beside it, without a daemon
    Check {
        /// The file
        #[arg(default_value = config::DEFAULT_FILE)]
        file: PathBuf,
    },
}

pub(super) fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Default => print!("{}", config::DEFAULT_TEXT),
        Verb::Check { file } => {
            Config::load(&file)?.check()?;
            println!("{}: good", file.display());
        }
    }
    Ok(())
}
