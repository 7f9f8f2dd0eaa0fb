//! What verbs print, and how that may end them.

use wharf_error::{Error, Kind};
use wharf_print::Unwritten;
pub(crate) use wharf_print::{errln, outln};

/// Why a verb that prints ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody reads on, as with `| head`: no failure.
    Closed,
    Failed(Error),
}

// === impl Stop ===

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Unwritten> for Stop {
    fn from(error: Unwritten) -> Self {
        match error.is_closed() {
            true => Self::Closed,
            false => Self::Failed(Error::new(Kind::Unknown, error.to_string())),
        }
    }
}
