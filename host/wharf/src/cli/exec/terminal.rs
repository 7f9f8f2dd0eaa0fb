use std::io::stdin;

use anyhow::{Context as _, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::cli::out::errln;

/// Our terminal passes everything on while this lives: the one in the container does the rest.
pub(super) struct RawMode(Termios);

// === impl RawMode ===

impl RawMode {
    pub(super) fn enter() -> Result<Self> {
        let before = tcgetattr(stdin()).context("read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).context("change the terminal's settings")?;
        Ok(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(stdin(), OptionalActions::Now, &self.0) {
            errln!("wharf: set the terminal back: {error} (`reset` does it)\r");
        }
    }
}

/// Columns and rows of our terminal.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdin()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
