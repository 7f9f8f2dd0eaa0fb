//! Standard output and standard error, where `println!` and `eprintln!` would end the command with a panic when nobody
//! reads or no space is left.

use std::{
    fmt,
    io::{self, Write as _},
};

use wharf_error::{Error, ResultExt as _};

/// Why a verb that prints ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody reads on, as with `| head`: no failure.
    Closed,
    Failed(Error),
}

/// Prints a line on standard output.
macro_rules! outln {
    ($($arg:tt)*) => { $crate::out::line(::core::format_args!($($arg)*)) };
}

/// Prints a line on standard error, if that can be.
macro_rules! errln {
    ($($arg:tt)*) => { $crate::out::complain(::core::format_args!($($arg)*)) };
}

pub(crate) use {errln, outln};

/// What `outln!` does.
pub(crate) fn line(text: fmt::Arguments<'_>) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stop::Closed),
        other => Ok(other.step(|| "write to standard output".into())?),
    }
}

/// What `errln!` does: where it cannot be said, there is nobody to tell.
pub(crate) fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

// === impl Stop ===

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
