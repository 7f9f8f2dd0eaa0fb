//! What command lines print. `println!` and `eprintln!` end a program with a panic when nobody reads on, as with `| head`,
//! or no space is left; here both are errors, and the first is known as no failure.
#![forbid(unsafe_code)]

use std::{
    fmt,
    io::{self, Write as _},
};

/// One of our own streams could not be written to.
#[derive(Debug)]
pub struct Unwritten {
    stream: &'static str,
    cause: io::Error,
}

/// Prints a line on standard output: a `Result` with [`Unwritten`].
#[macro_export]
macro_rules! outln {
    ($($arg:tt)*) => { $crate::line(::core::format_args!($($arg)*)) };
}

/// Prints a line on standard error, if that can be: where it cannot, there is nobody to tell.
#[macro_export]
macro_rules! errln {
    ($($arg:tt)*) => { $crate::complain(::core::format_args!($($arg)*)) };
}

/// What [`outln!`] does.
///
/// # Errors
///
/// What the system says to the write.
pub fn line(text: fmt::Arguments<'_>) -> Result<(), Unwritten> {
    let mut out = io::stdout().lock();
    settled("standard output", writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// What [`errln!`] does.
pub fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes these bytes to standard output, and nothing more.
///
/// # Errors
///
/// As [`line()`].
pub fn stdout(bytes: &[u8]) -> Result<(), Unwritten> {
    let mut out = io::stdout().lock();
    settled("standard output", out.write_all(bytes).and_then(|()| out.flush()))
}

/// The same to standard error, where what is written there is somebody's output.
///
/// # Errors
///
/// As [`line()`].
pub fn stderr(bytes: &[u8]) -> Result<(), Unwritten> {
    settled("standard error", io::stderr().write_all(bytes))
}

fn settled(stream: &'static str, written: io::Result<()>) -> Result<(), Unwritten> {
    written.map_err(|cause| Unwritten { stream, cause })
}

// === impl Unwritten ===

impl Unwritten {
    /// Whether nobody reads what is printed: no failure.
    pub fn is_closed(&self) -> bool {
        self.cause.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write to {}: {}", self.stream, self.cause)
    }
}

impl std::error::Error for Unwritten {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_no_failure() {
        let of = |kind: io::ErrorKind| settled("standard output", Err(kind.into())).unwrap_err();
        assert!(of(io::ErrorKind::BrokenPipe).is_closed());
        let full = of(io::ErrorKind::StorageFull);
        assert!(!full.is_closed());
        assert_eq!(full.to_string(), "write to standard output: no storage space");
    }
}
