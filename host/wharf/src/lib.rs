//! Wharf: the container runtime's daemon and command line in one binary.
//!
//! Nothing but wiring lives here: the command line (`cli`), the configuration (`config`), and the daemon that puts
//! the other crates together and serves them (`daemon`).
#![forbid(unsafe_code)]
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod cli;
mod config;
mod daemon;

use std::process::ExitCode;

/// The program: its arguments are those of the process.
pub fn main() -> ExitCode {
    cli::run()
}
