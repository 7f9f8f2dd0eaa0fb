//! The directory that a layer is written to. Every step goes from one directory's descriptor to a single name
//! below it and follows no symbolic link; links on the way are resolved here, within the target.

mod directory;
mod finish;
mod link;
mod make;
mod metadata;
mod remove;
mod resolve;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

pub(crate) use self::{
    directory::{Directory, Found, open_directory},
    link::split,
    metadata::Metadata,
};

use self::directory::State;
use crate::{Limits, UnpackOptions, archive::printable, lower::Lower};

/// A layer under construction. Directories are root's and 0700 until [`Tree::finish`] gives them their own owner,
/// mode, attributes and time: so nothing inherits a group or an access list from a directory half done.
pub(crate) struct Tree {
    root: Arc<Directory>,
    /// Open directories by the path that led to them, links included.
    open: HashMap<Vec<u8>, Arc<Directory>>,
    /// Every directory of the layer, by its path without links.
    known: BTreeMap<Vec<u8>, State>,
    /// What `known` takes in memory, roughly.
    known_bytes: usize,
    /// The layers below, when they are there.
    lower: Option<Lower>,
    limits: Limits,
    /// New files take another group than root's: the target has the setgid bit.
    setgid: bool,
}

/// Names step and path of a failed system call. What only a strange name can cause is the content's fault.
pub(crate) trait At<T> {
    fn at(self, step: &str, path: &[u8]) -> Result<T>;
}

// === impl At ===

impl<T> At<T> for Result<T, Errno> {
    fn at(self, step: &str, path: &[u8]) -> Result<T> {
        let what = || format!("{step} {}", printable(path));
        match self {
            Err(errno @ (Errno::NAMETOOLONG | Errno::ILSEQ)) => {
                Err(Error::invalid(what()).because(std::io::Error::from(errno)))
            }
            other => other.map_err(std::io::Error::from).step(what),
        }
    }
}

// === impl Tree ===

impl Tree {
    /// Opens the target, which must be an empty directory.
    pub(crate) fn open(target: &Path, options: &UnpackOptions) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(target, flags, Mode::empty()).map_err(std::io::Error::from);
        let fd = opened.step(|| format!("layer: open {}", target.display()))?;
        let root = Arc::new(Directory::root(fd));
        if !root.names()?.is_empty() {
            let what = format!("layer: {} is not empty", target.display());
            return Err(Error::new(Kind::FailedPrecondition, what));
        }
        let stat = rustix::fs::fstat(root.fd()).map_err(std::io::Error::from);
        let stat = stat.step(|| format!("layer: stat {}", target.display()))?;
        let setgid = Mode::from_raw_mode(stat.st_mode).contains(Mode::SGID);
        let lower = if options.parents.is_empty() { None } else { Some(Lower::open(&options.parents)?) };
        let mut known = BTreeMap::new();
        known.insert(Vec::new(), State::implied());
        Ok(Self { root, open: HashMap::new(), known, known_bytes: 0, lower, limits: options.limits.clone(), setgid })
    }
}
