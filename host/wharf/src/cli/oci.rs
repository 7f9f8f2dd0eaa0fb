use std::{ffi::OsStr, path::Path, process::ExitCode};

use clap::Parser as _;

/// The name under which this binary is an OCI runtime and nothing else.
const NAME: &str = "wharf-oci";

#[derive(clap::Args)]
pub(super) struct Flags {
    #[command(flatten)]
    command: wharf_oci::Command,
}

pub(super) fn run(flags: Flags) -> ExitCode {
    wharf_oci::run(flags.command)
}

/// What a link of that name is called with.
pub(super) fn called_as_runtime() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    let is_runtime = Path::new(&name).file_name() == Some(OsStr::new(NAME));
    is_runtime.then(|| wharf_oci::run(wharf_oci::Runtime::parse().command))
}
