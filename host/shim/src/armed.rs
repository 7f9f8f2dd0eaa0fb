//! The binary `containerd-shim-wharf-v1-armed`: the same with points at which a test may kill it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf_shim::main()
}
