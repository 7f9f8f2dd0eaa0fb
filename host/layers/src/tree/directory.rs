use std::{os::fd::OwnedFd, sync::Arc};

use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use wharf_error::{Result, ResultExt as _};

use super::Metadata;

/// An open directory of the layer.
pub(crate) struct Directory {
    fd: OwnedFd,
    /// From the target, without links; empty for the target itself.
    path: Vec<u8>,
    parent: Option<Arc<Directory>>,
    /// Nothing of the layers below shows through.
    hides: bool,
}

/// What is known of a directory before it is finished.
pub(super) struct State {
    /// What the archive, or the layer below, says it is; root's 0755 without.
    pub(super) metadata: Option<Metadata>,
    /// Made only because something lies below it, and not yet looked up in the layers below.
    pub(super) implied: bool,
    /// See [`Directory::hides`].
    pub(super) hides: bool,
}

/// What a name in a directory is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    Nothing,
    Directory,
    Symlink,
    /// A 0:0 character device.
    Whiteout,
    Other,
}

// === impl Directory ===

impl Directory {
    pub(super) fn root(fd: OwnedFd) -> Self {
        Self { fd, path: Vec::new(), parent: None, hides: false }
    }

    /// Opens the directory below that has this name; the error is `LOOP` or `NOTDIR` when it is something else.
    pub(super) fn open(self: &Arc<Self>, name: &[u8], hides: bool) -> Result<Self, Errno> {
        let fd = open_directory(self.fd.as_fd(), name)?;
        Ok(Self { fd, path: self.join(name), parent: Some(self.clone()), hides: self.hides || hides })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The directory above; the target is its own.
    pub(super) fn parent(self: &Arc<Self>) -> Arc<Self> {
        self.parent.clone().unwrap_or_else(|| self.clone())
    }

    pub(super) fn hides(&self) -> bool {
        self.hides
    }

    /// The path of a name in it.
    pub(super) fn join(&self, name: &[u8]) -> Vec<u8> {
        if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() }
    }

    pub(super) fn find(&self, name: &[u8]) -> Result<Found, Errno> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Found::of(&stat)),
            Err(Errno::NOENT) => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Result<Vec<Vec<u8>>> {
        let list = || {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.fd)? {
                let name = entry?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    names.push(name);
                }
            }
            Ok(names)
        };
        list().map_err(|errno: Errno| std::io::Error::from(errno)).step(|| "list directory".into())
    }
}

// === impl State ===

impl State {
    pub(super) fn implied() -> Self {
        Self { metadata: None, implied: true, hides: false }
    }
}

// === impl Found ===

impl Found {
    pub(crate) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice if stat.st_rdev == 0 => Self::Whiteout,
            _ => Self::Other,
        }
    }
}

/// Opens one name below a directory, which must be a directory itself: no link is followed, no mount crossed.
pub(crate) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)
}
