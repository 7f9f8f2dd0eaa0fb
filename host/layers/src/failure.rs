use std::{fmt, path::PathBuf};

use wharf_error::Error;

/// Why a layer was not unpacked. The target is left as it was when the fault showed: throw it away.
#[derive(Debug)]
pub enum Failure {
    /// The layer is well formed but cannot be written alone: unpack it again into an empty directory once the
    /// layers below are on disk, with [`UnpackOptions::parents`](crate::UnpackOptions) set.
    NeedsParents(NeedsParents),
    /// Everything else. `DataLoss`: a digest or size does not match, so that another source or try may help;
    /// `InvalidArgument`: the content itself is broken or hostile; `Exhausted`: the disk is full or a limit is hit.
    Other(Error),
}

/// Which entry asks for a layer below.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NeedsParents {
    /// The entry, as the archive names it.
    pub entry: PathBuf,
    /// What it needs of a layer below: a hard link's target, or a directory that is a symbolic link there.
    pub target: PathBuf,
}

// === impl Failure ===

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// For callers that have no parents to offer: then the layer refers to something that does not exist.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NeedsParents(needs) => Error::invalid(format!("layer: {needs}")),
            Failure::Other(error) => error,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsParents(needs) => write!(f, "layer: {needs}"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for NeedsParents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: needs {} of a layer below", self.entry.display(), self.target.display())
    }
}
