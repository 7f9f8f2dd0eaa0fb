//! The layers below, as the overlay will show them together.

use std::{os::fd::OwnedFd, path::PathBuf};

use rustix::{
    fd::AsFd as _,
    fs::{FileType, Mode, OFlags},
    io::Errno,
};
use wharf_error::{Result, ResultExt as _};

use crate::tree::{At as _, Found, Metadata, open_directory};

/// How the overlay knows that a directory hides those below it.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";

/// Overlay directories, nearest first.
pub(crate) struct Lower {
    layers: Vec<OwnedFd>,
}

/// What the layers below have under a path.
pub(crate) enum Below {
    Nothing,
    Directory(Metadata),
    Symlink { target: Vec<u8>, metadata: Metadata },
    Other(Inode),
}

/// A file, a device or a FIFO.
pub(crate) struct Inode {
    /// Open for reading, when it is a file.
    pub(crate) file: Option<OwnedFd>,
    pub(crate) kind: FileType,
    pub(crate) device: (u32, u32),
    pub(crate) metadata: Metadata,
}

// === impl Lower ===

impl Lower {
    pub(crate) fn open(parents: &[PathBuf]) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &PathBuf| {
            let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from);
            opened.step(|| format!("layer: open parent {}", path.display()))
        };
        Ok(Self { layers: parents.iter().map(open).collect::<Result<_>>()? })
    }

    /// Looks up a clean path; symbolic links on the way are not followed, for the caller's layer comes first there.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Below> {
        self.search(path).at("look up in the layers below", path)
    }

    fn search(&self, path: &[u8]) -> Result<Below, Errno> {
        let mut shown: Vec<OwnedFd> = Vec::new();
        for layer in &self.layers {
            shown.push(rustix::io::fcntl_dupfd_cloexec(layer, 0)?);
        }
        let mut names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let last = names.pop().unwrap_or_default();
        for name in names {
            shown = descend(&shown, name)?;
        }
        let last = if last.is_empty() { b"." } else { last };
        for layer in &shown {
            if let Some(below) = inspect(layer, last)? {
                return Ok(below);
            }
        }
        Ok(Below::Nothing)
    }
}

/// Whether the directory hides those below it.
pub(crate) fn is_opaque(directory: &OwnedFd) -> Result<bool, Errno> {
    let mut value = [0; 8];
    match rustix::fs::fgetxattr(directory, OPAQUE, &mut value) {
        Ok(used) => Ok(&value[..used] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The directories of this name that are merged into one.
fn descend(layers: &[OwnedFd], name: &[u8]) -> Result<Vec<OwnedFd>, Errno> {
    let mut merged = Vec::new();
    for layer in layers {
        match open_directory(layer.as_fd(), name) {
            Ok(directory) => {
                let opaque = is_opaque(&directory)?;
                merged.push(directory);
                if opaque {
                    break;
                }
            }
            Err(Errno::NOENT) => {}
            // A whiteout, a link or a file: hides what is below it.
            Err(Errno::LOOP | Errno::NOTDIR) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(merged)
}

/// What a name is in one layer; none when the layers below decide.
fn inspect(layer: &OwnedFd, name: &[u8]) -> Result<Option<Below>, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inode = match rustix::fs::openat(layer, name, flags, Mode::empty()) {
        Ok(inode) => inode,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let stat = rustix::fs::fstat(&inode)?;
    let found = Found::of(&stat);
    if found == Found::Whiteout {
        return Ok(Some(Below::Nothing));
    }
    let metadata = Metadata::of_inode(inode.as_fd(), &stat)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    Ok(Some(match found {
        Found::Directory => Below::Directory(metadata),
        Found::Symlink => {
            let target = rustix::fs::readlinkat(&inode, "", Vec::new())?.into_bytes();
            Below::Symlink { target, metadata }
        }
        _ => {
            let file = match kind {
                FileType::RegularFile => Some(reopen(layer, name)?),
                _ => None,
            };
            let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            Below::Other(Inode { file, kind, device, metadata })
        }
    }))
}

/// Layers below do not change any more; a file stays a file.
fn reopen(layer: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(layer, name, flags, Mode::empty())
}
