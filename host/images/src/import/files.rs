use std::{
    fs::File,
    io::{self, Read, Seek as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use tokio_util::sync::CancellationToken;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_layers::Limits;
use wharf_registry::MAX_DOCUMENT;

use super::tar_index::TarIndex;
use crate::scratch::cancelled;

/// The files of an archive, read in any order. All methods block.
pub(super) enum Files {
    /// Its owner's word is not taken for what is in it: names come from its documents, and lead nowhere else.
    Folder(File),
    Tar {
        file: Arc<File>,
        index: TarIndex,
    },
}

/// Where a compressed archive is inflated to, and how far.
pub(super) struct Room<'a> {
    pub folder: &'a Path,
    /// Bytes.
    pub most: u64,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
}

/// Reads until the work is to end.
struct Cancellable<'a>(File, &'a CancellationToken);

/// A part of a file.
struct Part {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

// === impl Files ===

impl Files {
    /// Opens a folder or a tar archive. A compressed one is inflated first, into a file without a name that is gone
    /// with the last reader.
    ///
    /// # Errors
    /// `InvalidArgument` for what is neither, `Exhausted` for more bytes than there is room for.
    pub fn open(path: &Path, room: &Room<'_>) -> Result<Self> {
        let step = || format!("open {}", path.display());
        // Nonblocking, so that a FIFO cannot hold us up.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file =
            File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from).map_err(|e| {
                let kind = if e.kind() == io::ErrorKind::NotFound { Kind::InvalidArgument } else { Kind::Internal };
                Error::new(kind, step()).because(e)
            })?);
        let metadata = file.metadata().step(step)?;
        if metadata.is_dir() {
            return Ok(Self::Folder(file));
        }
        if !metadata.is_file() {
            return Err(Error::invalid(format!("{} is neither a file nor a folder", path.display())));
        }
        let mut magic = [0; 4];
        let read = file.read(&mut magic).step(step)?;
        file.rewind().step(step)?;
        let compressed = matches!(&magic[..read], [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]);
        let file = if compressed { inflated(file, room)? } else { file };
        let index = TarIndex::read(&file)?;
        Ok(Self::Tar { file: Arc::new(file), index })
    }

    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => open_in(folder, name).is_ok(),
            Self::Tar { index, .. } => index.find(name).is_some(),
        }
    }

    pub fn size(&self, name: &str) -> Result<u64> {
        match self {
            Self::Folder(folder) => {
                let metadata = open_in(folder, name).and_then(|file| file.metadata());
                metadata.map(|metadata| metadata.len()).map_err(|error| missing(name).because(error))
            }
            Self::Tar { index, .. } => index.find(name).map(|(_, size)| size).ok_or_else(|| missing(name)),
        }
    }

    pub fn open_file(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        match self {
            Self::Folder(folder) => {
                let file = open_in(folder, name).map_err(|error| missing(name).because(error))?;
                Ok(Box::new(file))
            }
            Self::Tar { file, index } => {
                let (offset, left) = index.find(name).ok_or_else(|| missing(name))?;
                Ok(Box::new(Part { file: file.clone(), offset, left }))
            }
        }
    }

    /// A small file in memory.
    pub fn document(&self, name: &str) -> Result<Bytes> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).step(|| format!("read {name}"))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(Error::invalid(format!("{name} is larger than the {MAX_DOCUMENT} bytes that are allowed")));
        }
        Ok(bytes.into())
    }
}

impl Read for Cancellable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.is_cancelled() { Err(io::Error::other(cancelled())) } else { self.0.read(buffer) }
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// A regular file below the folder, wherever its links point.
fn open_in(folder: &File, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(rustix::fs::openat2(folder, name, flags, Mode::empty(), resolve)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn inflated(file: File, room: &Room<'_>) -> Result<File> {
    let step = || "inflate the archive".to_owned();
    let mut inflated = tempfile::tempfile_in(room.folder).step(step)?;
    let limits = Limits { what: "archive", key: "max_image_bytes", bytes: room.most, ..Limits::default() };
    wharf_layers::inflate(Cancellable(file, room.cancel), &mut inflated, &limits).step(step)?;
    inflated.rewind().step(step)?;
    Ok(inflated)
}

fn missing(name: &str) -> Error {
    Error::invalid(format!("the archive has no file {name}"))
}
