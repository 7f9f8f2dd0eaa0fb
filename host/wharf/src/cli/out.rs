//! What verbs print, with anyhow's errors.

use std::fmt;

use anyhow::Result;
use wharf_print::Unwritten;
pub(super) use wharf_print::errln;

/// Prints a line on standard output.
macro_rules! outln {
    ($($arg:tt)*) => { $crate::cli::out::line(::core::format_args!($($arg)*)) };
}

pub(super) use outln;

/// What `outln!` does.
pub(super) fn line(text: fmt::Arguments<'_>) -> Result<()> {
    Ok(wharf_print::line(text)?)
}

/// Writes these bytes to standard output, and nothing more.
pub(super) fn stdout(bytes: &[u8]) -> Result<()> {
    Ok(wharf_print::stdout(bytes)?)
}

/// The same to standard error, where that is a container's.
pub(super) fn stderr(bytes: &[u8]) -> Result<()> {
    Ok(wharf_print::stderr(bytes)?)
}

/// Whether a verb ended because nobody reads what it prints: no failure.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Unwritten>().is_some_and(Unwritten::is_closed)
}
