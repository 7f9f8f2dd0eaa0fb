use std::sync::Arc;

use rustix::io::Errno;
use wharf_error::{Error, Kind, Result};

use super::{At as _, Directory, Found, Metadata, State, Tree, make::set_opaque};
use crate::lower::Below;

/// Open directories that are kept. With the chains of directories above them this is far below any limit on files.
const OPEN: usize = 64;
/// Symbolic links on one path, as in the kernel.
const LINKS: u32 = 40;
/// What the list of directories may take in memory: a hostile layer has millions with long names.
const KNOWN_BYTES: usize = 128 << 20;

/// One name on a path.
enum Step {
    Into(Arc<Directory>),
    Link(Vec<u8>),
    Missing,
}

// === impl Tree ===

impl Tree {
    /// The directory at a clean path, with what is missing of it made.
    pub(crate) fn directory(&mut self, path: &[u8]) -> Result<Arc<Directory>> {
        let found = self.walk(path, true)?;
        found.ok_or_else(|| Error::internal(format!("directory {} was not made", path.escape_ascii())))
    }

    /// The directory at a clean path, if the layer has it.
    pub(crate) fn existing(&mut self, path: &[u8]) -> Result<Option<Arc<Directory>>> {
        self.walk(path, false)
    }

    fn walk(&mut self, path: &[u8], make: bool) -> Result<Option<Arc<Directory>>> {
        if path.is_empty() {
            return Ok(Some(self.root.clone()));
        }
        if let Some(known) = self.open.get(path) {
            return Ok(Some(known.clone()));
        }
        let (mut at, rest) = self.nearest(path);
        let mut todo: Vec<Vec<u8>> = rest.rsplit(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                at = at.parent();
                continue;
            }
            match self.step(&at, &name, make)? {
                Step::Into(next) => at = next,
                Step::Missing => return Ok(None),
                Step::Link(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Error::invalid(format!("too many symbolic links in {}", path.escape_ascii())));
                    }
                    if target.starts_with(b"/") {
                        at = self.root.clone();
                    }
                    let names = target.rsplit(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
                    todo.extend(names.map(<[u8]>::to_vec));
                }
            }
        }
        self.keep(path.to_vec(), &at);
        Ok(Some(at))
    }

    /// The deepest open directory on the path, and the path from there.
    fn nearest<'p>(&self, path: &'p [u8]) -> (Arc<Directory>, &'p [u8]) {
        let mut slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let found = slashes.find_map(|at| Some((self.open.get(&path[..at])?.clone(), &path[at + 1..])));
        found.unwrap_or_else(|| (self.root.clone(), path))
    }

    fn step(&mut self, at: &Arc<Directory>, name: &[u8], make: bool) -> Result<Step> {
        let path = at.join(name);
        let hides = self.known.get(&path).is_some_and(|state| state.hides);
        let found = match at.open(name, hides) {
            Ok(next) => {
                let next = Arc::new(next);
                self.keep(path, &next);
                return Ok(Step::Into(next));
            }
            Err(Errno::NOENT) => Found::Nothing,
            Err(Errno::LOOP | Errno::NOTDIR) => at.find(name).at("look up", &path)?,
            Err(error) => return Err(error).at("open", &path),
        };
        match found {
            Found::Symlink => {
                let target = rustix::fs::readlinkat(at.fd(), name, Vec::new()).at("read link", &path)?;
                Ok(Step::Link(target.into_bytes()))
            }
            Found::Nothing if make => self.imply(at, name, path),
            // Removed from the layers below and needed again: a new directory that shows nothing of the old one.
            Found::Whiteout if make => {
                self.remove(at, name, found)?;
                self.make_directory(at, name, State { metadata: None, implied: false, hides: true })?;
                let step = self.step(at, name, false)?;
                if let Step::Into(made) = &step {
                    set_opaque(made)?;
                }
                Ok(step)
            }
            Found::Other if make => Err(Error::invalid(format!("{} is not a directory", path.escape_ascii()))),
            _ => Ok(Step::Missing),
        }
    }

    /// Makes a directory that the archive passes over, as it is in the layers below.
    fn imply(&mut self, at: &Arc<Directory>, name: &[u8], path: Vec<u8>) -> Result<Step> {
        let below = match &self.lower {
            Some(lower) if !at.hides() => Some(lower.find(&path)?),
            Some(_) => Some(Below::Nothing),
            None => None,
        };
        let state = match below {
            Some(Below::Symlink { target, .. }) => return Ok(Step::Link(target)),
            Some(Below::Directory(metadata)) => State { metadata: Some(metadata), implied: false, hides: false },
            Some(Below::Nothing | Below::Other(_)) => State { metadata: None, implied: false, hides: true },
            None => State { metadata: None, implied: !at.hides(), hides: at.hides() },
        };
        self.make_directory(at, name, state)?;
        self.step(at, name, false)
    }

    /// Writes a directory into the book, in place of what was there.
    pub(super) fn note(&mut self, path: Vec<u8>, state: State) -> Result<()> {
        let depth = path.iter().filter(|byte| **byte == b'/').count() + 1;
        if depth > self.limits.depth || path.len() > self.limits.path {
            return Err(Error::invalid(format!(
                "directories nest deeper than {} or {} bytes",
                self.limits.depth, self.limits.path
            )));
        }
        let xattrs = state.metadata.as_ref().map_or(0, Metadata::xattr_bytes);
        self.known_bytes += path.len() + xattrs + size_of::<State>();
        if self.known_bytes > KNOWN_BYTES {
            return Err(Error::new(Kind::Exhausted, "too many directories with long names"));
        }
        self.known.insert(path, state);
        Ok(())
    }

    fn keep(&mut self, path: Vec<u8>, directory: &Arc<Directory>) {
        if self.open.len() >= OPEN {
            self.open.clear();
        }
        self.open.insert(path, directory.clone());
    }

    /// To be called whenever a directory or a link gives way to something else.
    pub(super) fn forget_open(&mut self) {
        self.open.clear();
    }
}
