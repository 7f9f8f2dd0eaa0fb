use std::fmt;

/// What a snapshotter answered when it was probed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Features {
    /// How the host writes an image's layer.
    pub content: Content,
    /// What else it can do, in its own words; words that the host does not know are ignored.
    pub extra: Vec<String>,
}

/// How an image's layer is written into a snapshotter's layer. Paths are in the layer's directory and checked
/// as a [`Place`](crate::Place) is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// Into this directory, with overlay's own whiteouts, without mounting.
    OverlayDiff(String),
    /// Into the mounted plan, whiteouts applied.
    FullTree,
    /// As one EROFS image at this path.
    ErofsImage(String),
}

// === impl Features ===

impl Features {
    /// Whether commit may bring parents that prepare did not name, so that layers are unpacked in any order.
    pub fn unordered(&self) -> bool {
        self.has("unordered")
    }

    /// Whether it keeps a layer within its quota.
    pub fn quota(&self) -> bool {
        self.has("quota")
    }

    /// Whether its layers may be mounted with mapped ids.
    pub fn idmap(&self) -> bool {
        self.has("idmap")
    }

    fn has(&self, word: &str) -> bool {
        self.extra.iter().any(|extra| extra == word)
    }
}

// === impl Content ===

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverlayDiff(path) => write!(f, "overlay-diff({path})"),
            Self::FullTree => f.write_str("full-tree"),
            Self::ErofsImage(path) => write!(f, "erofs-image({path})"),
        }
    }
}
