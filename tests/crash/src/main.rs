//! Crashes on purpose. `wharf-crash kills` kills a private daemon and its shims with SIGKILL at random moments while pods
//! come and go and images are pulled; what must hold is looked at all the while, and at the end that nothing is left.
#![forbid(unsafe_code)]

mod cri;
mod kills;
mod logs;
mod node;
mod points;
mod power;
mod requests;
mod rows;
mod samples;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// Kills Wharf at any moment and looks at what is left.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask crash", bin_name = "cargo xtask crash")]
struct Arguments {
    #[command(subcommand)]
    how: Option<How>,
    #[command(flatten)]
    kills: kills::Arguments,
}

#[derive(Debug, Subcommand)]
enum How {
    /// At random moments, while pods come and go and images are pulled: what is done without a word
    Kills(kills::Arguments),
    /// At each point between two steps of each verb, in the armed build
    Points(points::Arguments),
    /// In a guest that loses its power: what `cargo xtask power` runs there
    #[command(hide = true)]
    Power(power::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = runtime().and_then(|runtime| {
        runtime.block_on(async {
            match arguments.how {
                None => kills::run(&arguments.kills).await,
                Some(How::Kills(arguments)) => kills::run(&arguments).await,
                Some(How::Points(arguments)) => points::run(&arguments).await,
                Some(How::Power(arguments)) => power::run(&arguments).await,
            }
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("✗ {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start a runtime")
}
