use wharf_error::{Error, Kind};

use crate::{
    Content, Features, Place, Usage,
    bindings::{
        exports::wharf::snapshotter::snapshotter as exported,
        wharf::{
            host::types::{self, Code},
            snapshotter::storage,
        },
    },
};

/// The version of the contract in this host. While it is a draft, exactly this one is loaded.
pub(crate) const VERSION: &str = "0.1.0-draft";

/// What a plugin says about a failure, or what the host answers to it.
pub(crate) type Fault = types::Error;

/// Makes a fault of the host's.
pub(crate) fn fault(code: Code, message: impl Into<String>) -> Fault {
    Fault { code, message: message.into(), hint: None }
}

/// The sort of failure in our own words.
pub(crate) fn kind(code: Code) -> Kind {
    match code {
        Code::InvalidArgument => Kind::InvalidArgument,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::AlreadyExists,
        Code::FailedPrecondition => Kind::FailedPrecondition,
        Code::NotGranted => Kind::PermissionDenied,
        Code::Unsupported => Kind::Unsupported,
        Code::Exhausted => Kind::Exhausted,
        Code::Unavailable => Kind::Unavailable,
        Code::DeadlineExceeded => Kind::DeadlineExceeded,
        Code::Cancelled => Kind::Cancelled,
        Code::DataLoss => Kind::DataLoss,
        Code::Other => Kind::Unknown,
    }
}

/// What a plugin said, on one line and not longer than a person reads: it is shown to clients.
pub(crate) fn tame(text: &str) -> String {
    const LONGEST: usize = 1000;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    line.trim().to_owned()
}

// === impl Error ===

impl From<Fault> for FaultError {
    fn from(fault: Fault) -> Self {
        let said = Error::new(kind(fault.code), tame(&fault.message));
        Self(match fault.hint {
            Some(hint) => said.hint(tame(&hint)),
            None => said,
        })
    }
}

/// A fault as an error of ours: a type of its own because neither side belongs to this crate.
pub(crate) struct FaultError(pub(crate) Error);

// === impl Usage ===

impl From<storage::Usage> for Usage {
    fn from(usage: storage::Usage) -> Self {
        Self { bytes: usage.bytes, inodes: usage.inodes }
    }
}

impl From<Usage> for storage::Usage {
    fn from(usage: Usage) -> Self {
        Self { bytes: usage.bytes, inodes: usage.inodes }
    }
}

// === impl Features ===

impl TryFrom<exported::Features> for Features {
    type Error = Error;

    /// The paths are a plugin's word: they are checked like any place.
    fn try_from(features: exported::Features) -> Result<Self, Error> {
        let content = match features.content {
            exported::Content::OverlayDiff(path) => Content::OverlayDiff(Place::new(0, path)?.path().to_owned()),
            exported::Content::FullTree => Content::FullTree,
            exported::Content::ErofsImage(path) => Content::ErofsImage(Place::new(0, path)?.path().to_owned()),
        };
        Ok(Self { content, extra: features.extra.iter().map(|word| tame(word)).collect() })
    }
}
