use std::{fmt, str::FromStr};

use wharf_error::{Error, Result};

/// What a plugin can be.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Lays out layers on a disk and plans their mounts.
    Snapshotter,
}

// === impl Kind ===

impl Kind {
    /// Every kind that this host can load.
    pub const ALL: [Self; 1] = [Self::Snapshotter];

    /// The exported interface by which a component is known to be of this kind, without its version.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Snapshotter => "wharf:snapshotter/snapshotter",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshotter => "snapshotter",
        })
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| Error::invalid(format!("{text:?} is no kind of plugin")).hint("known: snapshotter"))
    }
}
