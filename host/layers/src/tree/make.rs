use std::{os::fd::OwnedFd, sync::Arc};

use rustix::{
    fs::{FileType, Mode, OFlags, XattrFlags},
    io::Errno,
};
use wharf_error::{Error, Result};

use super::{At as _, Directory, Found, Metadata, State, Tree};

/// Owner's alone until it is finished.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

// === impl Tree ===

impl Tree {
    /// A new, empty file in place of whatever has the name, open for writing.
    pub(crate) fn create_file(&mut self, at: &Arc<Directory>, name: &[u8]) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = at.fd();
        let create = || rustix::fs::openat(fd, name, flags, Mode::from_raw_mode(FILE_MODE));
        match create() {
            Err(Errno::EXIST) => {
                self.vacate(at, name)?;
                create()
            }
            other => other,
        }
        .at("create", &at.join(name))
    }

    /// Owner, mode, attributes and time of a file made by [`Tree::create_file`].
    pub(crate) fn finish_file(&self, file: &OwnedFd, metadata: &Metadata, path: &[u8]) -> Result<()> {
        use std::os::fd::AsFd as _;
        metadata.apply(file.as_fd(), !self.setgid, path)
    }

    /// The target itself, described.
    pub(crate) fn describe_root(&mut self, metadata: Metadata) -> Result<()> {
        self.note(Vec::new(), State { metadata: Some(metadata), implied: false, hides: self.root.hides() })
    }

    /// A directory that the archive describes; one that is there already stays, with the new description.
    pub(crate) fn describe_directory(&mut self, at: &Arc<Directory>, name: &[u8], metadata: Metadata) -> Result<()> {
        let path = at.join(name);
        let found = at.find(name).at("look up", &path)?;
        let hides = match found {
            Found::Directory => self.known.get(&path).is_some_and(|state| state.hides),
            Found::Whiteout => true,
            Found::Nothing | Found::Symlink | Found::Other => false,
        };
        let state = State { metadata: Some(metadata), implied: false, hides };
        match found {
            Found::Directory => return self.note(path, state),
            Found::Nothing => {}
            Found::Whiteout | Found::Symlink | Found::Other => self.remove(at, name, found)?,
        }
        self.make_directory(at, name, state)?;
        if found == Found::Whiteout {
            let made = at.open(name, true).at("open", &path)?;
            set_opaque(&made)?;
        }
        Ok(())
    }

    /// A new directory under a free name.
    pub(super) fn make_directory(&mut self, at: &Arc<Directory>, name: &[u8], state: State) -> Result<()> {
        let path = at.join(name);
        self.note(path.clone(), state)?;
        rustix::fs::mkdirat(at.fd(), name, Mode::from_raw_mode(DIRECTORY_MODE)).at("make directory", &path)
    }

    pub(crate) fn make_symlink(
        &mut self,
        at: &Arc<Directory>,
        name: &[u8],
        target: &[u8],
        metadata: &Metadata,
    ) -> Result<()> {
        let path = at.join(name);
        if target.is_empty() {
            return Err(Error::invalid("symbolic link without a target"));
        }
        self.vacate(at, name)?;
        rustix::fs::symlinkat(target, at.fd(), name).at("link", &path)?;
        metadata.apply_to_name(at.fd(), name, true, &path)
    }

    /// A device or a FIFO.
    pub(crate) fn make_node(
        &mut self,
        at: &Arc<Directory>,
        name: &[u8],
        kind: FileType,
        (major, minor): (u32, u32),
        metadata: &Metadata,
    ) -> Result<()> {
        let path = at.join(name);
        self.vacate(at, name)?;
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(at.fd(), name, kind, Mode::from_raw_mode(FILE_MODE), device).at("make device", &path)?;
        metadata.apply_to_name(at.fd(), name, false, &path)
    }

    /// Hides a name of the layers below. What this layer has under the name stays: a marker speaks only of the
    /// layers below, wherever in the archive it stands.
    pub(crate) fn white_out(&mut self, at: &Arc<Directory>, name: &[u8]) -> Result<()> {
        let path = at.join(name);
        match at.find(name).at("look up", &path)? {
            Found::Nothing => {
                let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
                rustix::fs::mknodat(at.fd(), name, kind, mode, 0).at("white out", &path)
            }
            Found::Directory => {
                let directory = Arc::new(at.open(name, true).at("open", &path)?);
                self.hide_below(&directory)
            }
            Found::Symlink | Found::Whiteout | Found::Other => Ok(()),
        }
    }

    /// Lets nothing of the layers below show through a directory.
    pub(crate) fn hide_below(&mut self, directory: &Directory) -> Result<()> {
        set_opaque(directory)?;
        if let Some(state) = self.known.get_mut(directory.path()) {
            state.hides = true;
        }
        // The open ones do not know yet.
        self.forget_open();
        Ok(())
    }

    /// Makes a name free.
    pub(super) fn vacate(&mut self, at: &Arc<Directory>, name: &[u8]) -> Result<()> {
        match at.find(name).at("look up", &at.join(name))? {
            Found::Nothing => Ok(()),
            found => self.remove(at, name, found),
        }
    }
}

pub(super) fn set_opaque(directory: &Directory) -> Result<()> {
    rustix::fs::fsetxattr(directory.fd(), crate::lower::OPAQUE, b"y", XattrFlags::empty())
        .at("mark as opaque", directory.path())
}
