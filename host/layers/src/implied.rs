use std::path::{Path, PathBuf};

use wharf_error::{Error, Kind};

use crate::Failure;

/// Gives directories that a layer implied the owner, mode, time and attributes that they have in the nearest layer
/// below. To be called once, at commit, with [`Unpacked::implied`](crate::Unpacked) of a layer that was unpacked
/// without parents; `parents` are the layers below, nearest first. What no layer below has stays root's, 0755.
///
/// # Errors
/// [`Failure::NeedsParents`] when such a directory is a symbolic link below: the layer must be unpacked again.
pub fn fix_implied(target: &Path, _implied: &[PathBuf], _parents: &[PathBuf]) -> Result<(), Failure> {
    Err(Failure::Other(Error::new(Kind::Unsupported, format!("layer: fix {}", target.display()))))
}
