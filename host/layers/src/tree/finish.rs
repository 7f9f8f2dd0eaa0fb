use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf};

use wharf_error::{Error, Result};

use super::{Metadata, Tree};
use crate::{archive::printable, lower::Below};

// === impl Tree ===

impl Tree {
    /// Gives every directory what it shall have, now that nothing is written below it any more. Answers with those
    /// that were only implied and are not known from a layer below.
    pub(crate) fn finish(mut self) -> Result<Vec<PathBuf>> {
        let mut implied = Vec::new();
        for (path, mut state) in std::mem::take(&mut self.known) {
            if path.is_empty()
                && state.implied
                && let Some(lower) = &self.lower
            {
                state.implied = false;
                if let Below::Directory(metadata) = lower.find(&path)? {
                    state.metadata = Some(metadata);
                }
            }
            let directory = self
                .existing(&path)?
                .ok_or_else(|| Error::internal(format!("directory {} is gone", printable(&path))))?;
            let metadata = state.metadata.unwrap_or_else(Metadata::plain_directory);
            metadata.apply(directory.fd(), false, &path)?;
            if state.implied {
                implied.push(OsString::from_vec(path).into());
            }
        }
        Ok(implied)
    }
}
