//! Standard outputs that cannot be written to.

use std::{fs::OpenOptions, io, process::Stdio};

/// A pipe whose other end nobody reads.
///
/// # Errors
///
/// When there is no pipe to be had.
pub fn closed_output() -> io::Result<Stdio> {
    Ok(io::pipe()?.1.into())
}

/// A device that has no space.
///
/// # Errors
///
/// When it is not there.
pub fn full_output() -> io::Result<Stdio> {
    Ok(OpenOptions::new().write(true).open("/dev/full")?.into())
}
