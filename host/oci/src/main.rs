//! The OCI runtime alone, without the daemon: what starts quickly where a caller runs it for every step.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    wharf_oci::run(wharf_oci::Runtime::parse().command)
}
