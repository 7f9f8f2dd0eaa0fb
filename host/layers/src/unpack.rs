use std::{io::Read, path::Path};

use wharf_error::{Error, Kind};

use crate::{Failure, UnpackOptions, Unpacked};

/// Unpacks one layer blob into `target`, an existing empty directory, as an overlay diff.
///
/// Blocks for as long as `blob` does: give it a reader with deadlines.
///
/// # Errors
/// See [`Failure`].
pub fn unpack(_blob: impl Read, target: &Path, _options: &UnpackOptions) -> Result<Unpacked, Failure> {
    Err(Failure::Other(Error::new(Kind::Unsupported, format!("layer: unpack into {}", target.display()))))
}
