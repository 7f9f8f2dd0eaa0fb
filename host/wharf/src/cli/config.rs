use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use super::out::{self, outln};
use crate::config::{self, Config};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Print the default configuration, commented
    Default,
    /// Print the configuration as the daemon has it without flags: the file, the conf.d folder beside it, and defaults for all
    /// else
    Show {
        /// The file
        #[arg(default_value = config::DEFAULT_FILE)]
        file: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Check a configuration file and the conf.d folder beside it, without a daemon
    Check {
        /// The file
        #[arg(default_value = config::DEFAULT_FILE)]
        file: PathBuf,
    },
}

pub(super) fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Default => out::stdout(config::DEFAULT_TEXT.as_bytes()),
        Verb::Show { file, json } => {
            let config = Config::load_or_default(&file)?.settled();
            match json {
                true => outln!("{:#}", serde_json::to_value(&config)?),
                false => out::stdout(toml::to_string_pretty(&config)?.as_bytes()),
            }
        }
        Verb::Check { file } => {
            Config::load(&file)?.check()?;
            outln!("{}: good", file.display())
        }
    }
}
