mod assemble;
mod beneath;
mod idmap;
mod idmapped_overlay;
mod make;
mod overlay;
mod part;
mod read;

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use wharf_error::{Result, ResultExt as _};

pub use self::assemble::{assemble_idmapped_root, assemble_root};
pub(crate) use self::idmap::idmap_tree;
use self::make::make_inside;
pub(crate) use self::read::read_inside;

/// What a container's root is made of.
#[derive(Clone, Debug)]
pub struct RootMount {
    /// The kind of root, and its paths.
    pub kind: RootKind,
    /// SELinux' label of all its files; for an overlay alone, a bind's files have their own.
    pub label: Option<String>,
    /// The folder beneath which every path of `kind` must lie, by names alone: no symlink is followed below it.
    pub beneath: PathBuf,
}

/// The kinds of root. Paths are absolute and below [`RootMount::beneath`], or relative to it.
#[derive(Clone, Debug)]
pub enum RootKind {
    /// One directory as it is.
    Bind {
        /// The directory.
        source: PathBuf,
        /// Whether nothing may be written.
        readonly: bool,
    },
    /// One directory with all that is mounted in it.
    Tree {
        /// The directory.
        source: PathBuf,
    },
    /// Layers on each other. One lower without an upper is a read-only bind.
    Overlay {
        /// The layers that are read, nearest (topmost) first.
        lowers: Vec<PathBuf>,
        /// The layer that is written; `None`: the root is read-only.
        upper: Option<PathBuf>,
        /// The kernel's scratch folder, on the upper's file system; goes with `upper`.
        work: Option<PathBuf>,
        /// Whether the upper may be lost at a power cut: teardown then does not sync the whole disk. The kernel
        /// refuses to mount such an upper a second time.
        volatile: bool,
    },
}

/// A root as a detached mount: in no mount table, gone when it is dropped, unless a container took it.
#[derive(Debug)]
pub struct Root {
    mount: OwnedFd,
}

impl Root {
    /// Reads a regular file inside, as the container would see it before its own mounts: symlinks are resolved
    /// within the root. `None` when there is none. A file of more than `limit` bytes, or one that is no regular
    /// file, is an error.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        read_inside(self.as_fd(), path, limit)
    }

    /// The same mount once more.
    pub fn try_clone(&self) -> Result<Self> {
        let mount = self.mount.try_clone().step(|| "duplicate a root".into())?;
        Ok(Self { mount })
    }

    /// Makes a directory inside and those above it, where they are missing; symlinks are resolved within the root.
    pub fn make_directory(&self, path: &Path) -> Result<()> {
        make_inside(self.as_fd(), path)
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }

    pub(crate) fn into_mount(self) -> OwnedFd {
        self.mount
    }
}
