//! What runs in the guest whose power is cut, see `cargo xtask power`: `check` looks at what the last cut left and removes
//! all of it, `work` is what the next one falls into.

mod check;
mod work;

use std::path::PathBuf;

use anyhow::Result;
use wharf_testkit::DaemonOptions;

/// One of the two programs.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The folder of the node, on the disk whose power is cut
    #[arg(long, value_name = "FOLDER", global = true, default_value = "/disk/node")]
    node: PathBuf,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum What {
    /// Looks at what is there, and removes it
    Check,
    /// Pulls images, runs and removes pods, until the power goes
    Work {
        /// The choices
        #[arg(long)]
        seed: u64,
    },
}

/// How many images come and go.
const IMAGES: usize = 3;

/// Runs it.
///
/// # Errors
///
/// What was not as it must be.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let options = DaemonOptions {
        name: "power".into(),
        at: Some(arguments.node.clone()),
        config: "resume_window = 0\n".into(),
        ..DaemonOptions::default()
    };
    match arguments.what {
        What::Check => check::run(options).await,
        What::Work { seed } => work::run(options, seed).await,
    }
}
