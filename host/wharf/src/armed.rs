//! The binary `wharf-armed`: the same with points at which a test may kill it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf::main()
}
