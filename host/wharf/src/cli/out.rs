//! What verbs print: `println!` would end them with a panic when nobody reads on, as with `| head`, or no space is left.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::Result;

/// A stream of ours could not be written to.
#[derive(Debug)]
struct Unwritten {
    stream: &'static str,
    cause: io::Error,
}

/// Prints a line on standard output.
macro_rules! outln {
    ($($arg:tt)*) => { $crate::cli::out::line(::core::format_args!($($arg)*)) };
}

/// Prints a line on standard error, if that can be.
macro_rules! errln {
    ($($arg:tt)*) => { $crate::cli::out::complain(::core::format_args!($($arg)*)) };
}

pub(super) use {errln, outln};

/// What `outln!` does.
pub(super) fn line(text: fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    settled("standard output", writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// What `errln!` does: where it cannot be said, there is nobody to tell.
pub(super) fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes these bytes to standard output, and nothing more.
pub(super) fn stdout(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    settled("standard output", out.write_all(bytes).and_then(|()| out.flush()))
}

/// The same to standard error, where that is a container's.
pub(super) fn stderr(bytes: &[u8]) -> Result<()> {
    settled("standard error", io::stderr().write_all(bytes))
}

/// Whether a verb ended because nobody reads what it prints: no failure.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Unwritten>().is_some_and(|unwritten| unwritten.cause.kind() == io::ErrorKind::BrokenPipe)
}

fn settled(stream: &'static str, written: io::Result<()>) -> Result<()> {
    Ok(written.map_err(|cause| Unwritten { stream, cause })?)
}

// === impl Unwritten ===

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write to {}: {}", self.stream, self.cause)
    }
}

impl std::error::Error for Unwritten {}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn only_a_stream_of_ours_is_known_as_closed() {
        let of = |kind: io::ErrorKind| settled("standard output", Err(kind.into())).context("exec in web").unwrap_err();
        assert!(is_closed(&of(io::ErrorKind::BrokenPipe)), "also through what was being done");
        let full = of(io::ErrorKind::StorageFull);
        assert!(!is_closed(&full));
        assert_eq!(format!("{full:#}"), "exec in web: write to standard output: no storage space");
        assert!(!is_closed(&io::Error::from(io::ErrorKind::BrokenPipe).into()), "of a socket");
    }
}
