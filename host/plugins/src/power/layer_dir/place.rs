use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2};

use super::{LayerDir, io_fault};
use crate::{
    Place,
    bindings::wharf::host::types::Code,
    contract::{Fault, fault},
};

/// Nothing above the folder, no link, no magic link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Something that a place names, held without having been opened.
pub(super) struct Found {
    pub(super) fd: OwnedFd,
    pub(super) stat: rustix::fs::Stat,
}

// === impl LayerDir ===

impl LayerDir {
    /// What is at a place: a directory or a regular file.
    pub(super) fn find(&self, at: &Place) -> Result<Found, Fault> {
        let step = || format!("{at}");
        let fd = self.open_at(at, OFlags::PATH).map_err(|error| io_fault(&step(), &error))?;
        let stat = fstat(&fd).map_err(|error| io_fault(&step(), &error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory | FileType::RegularFile => Ok(Found { fd, stat }),
            _ => Err(fault(Code::InvalidArgument, format!("{at}: neither a directory nor a regular file"))),
        }
    }

    /// The directory at a place, opened to be read.
    pub(super) fn directory(&self, at: &Place) -> Result<OwnedFd, Fault> {
        self.open_at(at, OFlags::DIRECTORY | OFlags::RDONLY).map_err(|error| io_fault(&at.to_string(), &error))
    }

    /// The directory above a place, and the place's name in it.
    pub(super) fn above(&self, at: &Place) -> io::Result<(OwnedFd, String)> {
        let (above, name) = split(at);
        Ok((self.open_path(&above, OFlags::DIRECTORY | OFlags::PATH)?, name))
    }

    /// The same, made where it is missing: each directory for root alone.
    pub(super) fn make_above(&self, at: &Place) -> io::Result<(OwnedFd, String)> {
        match self.above(at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let (above, name) = split(at);
        let mut path = PathBuf::from(".");
        let mut dir: Option<OwnedFd> = None;
        for part in above.components().skip(1) {
            let parent = dir.as_ref().map_or_else(|| self.root.as_fd(), |dir| dir.as_fd());
            match mkdirat(parent, part.as_os_str(), Mode::RWXU) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            path.push(part);
            dir = Some(self.open_path(&path, OFlags::DIRECTORY | OFlags::PATH)?);
        }
        // A layer's directory is in the folder itself, which is there.
        dir.map_or_else(|| self.above(at), |dir| Ok((dir, name)))
    }

    pub(super) fn open_at(&self, at: &Place, flags: OFlags) -> io::Result<OwnedFd> {
        self.open_path(&at.relative(), flags)
    }

    fn open_path(&self, path: &std::path::Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(openat2(self.root.as_fd(), path, flags, Mode::empty(), BENEATH)?)
    }
}

/// `./5/a` and `b` of `5/a/b`.
fn split(at: &Place) -> (PathBuf, String) {
    let path = format!("./{}", at.relative().display());
    match path.rsplit_once('/') {
        Some((above, name)) => (above.into(), name.to_owned()),
        None => (".".into(), path),
    }
}
