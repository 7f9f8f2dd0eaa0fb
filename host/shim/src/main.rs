//! The binary `containerd-shim-wharf-v1`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf_shim::main()
}
