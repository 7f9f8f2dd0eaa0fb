use std::{fmt, path::PathBuf};

use wharf_error::{Error, Result};

/// How a layer's root file system is put together, as a plugin planned it and the host checked it.
///
/// Every place lies in the layer itself or one of its parents; no host path and no mount option can be said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// In order; a later step may stand on an earlier one by its number. The last is the root. Never empty
    /// when it comes from [`Snapshotter`](crate::Snapshotter).
    pub steps: Vec<Step>,
}

/// One mount.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// A directory as it is.
    Bind {
        /// The directory.
        at: Place,
        /// Whether it may not be written through this mount.
        read_only: bool,
    },
    /// Directories or earlier steps, one over the other.
    Overlay {
        /// Nearest first; never empty.
        lowers: Vec<Lower>,
        /// None: read-only.
        upper: Option<Upper>,
    },
    /// An EROFS image, read-only.
    Erofs {
        /// The image file.
        image: Place,
    },
}

/// What an overlay stands on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lower {
    /// A directory.
    Directory(Place),
    /// The mount that an earlier step made, by its number in the plan.
    Mounted(usize),
}

/// Where an overlay is written to. Both in the same layer, which is the active one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upper {
    /// What was changed.
    pub upper: Place,
    /// Overlayfs's own scratch directory.
    pub work: Place,
}

/// A path in a layer's directory.
///
/// Only made checked: at most 16 components of letters, digits, `.`, `_` and `-`, none of them `.` or `..`;
/// so it can stand in any mount option as it is. The empty path is the layer's directory.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Place {
    layer: u64,
    path: String,
}

// === impl Place ===

impl Place {
    /// The longest path, in bytes.
    const LONGEST: usize = 1024;
    /// The most components.
    const DEEPEST: usize = 16;

    /// Checks the path; the error says which rule it broke.
    pub fn new(layer: u64, path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        if let Some(fault) = fault_of(&path) {
            return Err(Error::invalid(format!("place {path:?} of layer {layer}: {fault}")));
        }
        Ok(Self { layer, path })
    }

    /// The layer that it lies in.
    pub fn layer(&self) -> u64 {
        self.layer
    }

    /// The path in the layer's directory; empty: the directory itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `<layer>/<path>`, to be resolved beneath the plugin's root.
    pub fn relative(&self) -> PathBuf {
        let mut relative = PathBuf::from(self.layer.to_string());
        if !self.path.is_empty() {
            relative.push(&self.path);
        }
        relative
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.relative().display())
    }
}

fn fault_of(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return None;
    }
    if path.len() > Place::LONGEST {
        return Some("longer than 1024 bytes");
    }
    if path.starts_with('/') {
        return Some("not relative");
    }
    if path.split('/').count() > Place::DEEPEST {
        return Some("more than 16 components");
    }
    path.split('/').find_map(|name| match name {
        "" => Some("an empty component"),
        "." | ".." => Some("a component `.` or `..`"),
        _ if name.len() > 255 => Some("a component longer than 255 bytes"),
        _ if name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) => None,
        _ => Some("a character other than letters, digits, `.`, `_`, `-`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_cannot_leave_its_layer_or_break_an_option_string() {
        for bad in
            ["/", "/etc", "..", "fs/..", "fs/../../2", "./fs", "fs//x", "fs/", "a:b", "a,b", "a\\b", "a b", "a\0b", "é"]
        {
            assert!(Place::new(1, bad).is_err(), "{bad:?} was taken");
        }
        assert!(Place::new(1, "x/".repeat(16) + "x").is_err(), "too deep");
        assert!(Place::new(1, "x".repeat(256)).is_err(), "a name too long");
    }

    #[test]
    fn a_place_reads_as_layer_and_path() {
        assert_eq!(Place::new(7, "fs").unwrap().relative(), PathBuf::from("7/fs"));
        assert_eq!(Place::new(7, "").unwrap().relative(), PathBuf::from("7"), "the directory itself, no slash");
        assert_eq!(Place::new(7, "..a/b-c_d.e").unwrap().to_string(), "7/..a/b-c_d.e");
    }
}
