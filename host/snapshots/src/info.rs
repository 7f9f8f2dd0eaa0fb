use std::{collections::BTreeMap, fmt, path::PathBuf};

use wharf_plugins::Content;

use crate::row::{Kind, Row};

/// What is known about one snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// Its key, or its name when it is committed.
    pub key: String,
    /// The name of its parent.
    pub parent: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub created: i64,
    /// Nanoseconds since 1970: when it was prepared, committed or relabelled.
    pub updated: i64,
    /// The plugin's number for it.
    pub id: u64,
    /// Why it cannot be used: its layer was not found on the disk.
    pub broken: Option<String>,
}

/// How a snapshot is mounted, in containerd's form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mounts {
    /// The plugin's folder: every path in the mounts is absolute and below it, to be opened beneath it.
    pub root: PathBuf,
    /// In order; the last one is the root file system.
    pub mounts: Vec<Mount>,
}

/// One of containerd's mounts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mount {
    /// `bind` or `overlay`.
    pub type_: String,
    /// The directory of a bind; `overlay` otherwise.
    pub source: String,
    /// `ro` or `rw` and `rbind`; `lowerdir=` (nearest first), `upperdir=` and `workdir=`.
    pub options: Vec<String>,
}

/// Where the bytes of an image's layer are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContentTarget {
    /// The directory (or for an EROFS image, the file) to write, below the plugin's folder.
    pub dir: PathBuf,
    /// How it is written.
    pub content: Content,
    /// The same place in each parent, nearest first.
    pub parents: Vec<PathBuf>,
}

/// A snapshot that somebody should look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The containerd namespace.
    pub namespace: String,
    /// The snapshot.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

// === impl Info ===

impl Info {
    pub(crate) fn new(key: &str, row: Row) -> Self {
        let Row { id, kind, parent, labels, created, updated, broken, .. } = row;
        Self { key: key.to_owned(), parent, kind, labels, created, updated, id, broken }
    }
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot {} of {}: {}", self.key, self.namespace, self.what)
    }
}
