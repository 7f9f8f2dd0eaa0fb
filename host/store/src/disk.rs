use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redb::StorageBackend;
use wharf_error::{Error, Kind, Result, ResultExt as _};

/// How long a lock may be held by what a killed daemon left, and how often it is looked at.
const LEFT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);

/// Where a database's bytes are: the file, or a test's stand-in.
pub(crate) trait Disk: Send + Sync {
    /// What messages call it.
    fn path(&self) -> &Path;
    /// A backend over the bytes as they are now. Only one is in use at a time.
    fn backend(&self) -> io::Result<Box<dyn StorageBackend>>;
    /// Throws all content away. Before the first backend only.
    fn clear(&self) -> Result<()>;
}

/// A file of mode 0600, locked against other openers until this is dropped.
///
/// The lock is our own, not redb's: it is held while a database is closed and opened again after an I/O error.
pub(crate) struct FileDisk {
    path: PathBuf,
    file: File,
    flush: Flush,
}

/// What a flush is on this disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flush {
    /// Bytes reach the disk; space is allocated when the file grows, so that a full disk fails then and not in a flush.
    ToDisk,
    /// Bytes are in the page cache: enough for what ends with the uptime.
    ToKernel,
}

#[derive(Debug)]
struct FileBackend {
    file: File,
    flush: Flush,
}

/// A backend that can be cut off, so that what still reads an abandoned database gets an error and never
/// the pages of its successor.
#[derive(Debug)]
pub(crate) struct Leased {
    backend: Box<dyn StorageBackend>,
    lease: Lease,
}

/// Says whether a [`Leased`] backend may still be used, and counts its flushes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lease {
    revoked: Arc<RwLock<bool>>,
    flushes: Arc<AtomicU64>,
}

// === impl FileDisk ===

impl FileDisk {
    /// Opens or creates the file and locks it. Blocks for half a second at most where somebody else has it: a daemon that
    /// was killed in the moment in which it started a program leaves its lock to that process until it executes.
    ///
    /// # Errors
    /// `FailedPrecondition` naming the process that has it open; `Internal` and others with the step that failed.
    pub(crate) fn lock(path: &Path, flush: Flush) -> Result<Self> {
        let what = || format!("database {}: open", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).step(what)?;
        let deadline = Instant::now() + LEFT;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(in_use(path, &file)),
                Err(TryLockError::Error(error)) => {
                    return Err(error).step(|| format!("database {}: lock", path.display()));
                }
            }
        }
        let metadata = file.metadata().step(what)?;
        if !metadata.is_file() {
            return Err(Error::new(Kind::FailedPrecondition, format!("{}: not a regular file", what())));
        }
        if metadata.mode() & 0o7777 != 0o600 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600)).step(what)?;
        }
        let disk = Self { path: path.to_owned(), file, flush };
        if metadata.len() == 0 && flush == Flush::ToDisk {
            disk.flush_directory().step(what)?;
        }
        Ok(disk)
    }

    fn flush_directory(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Disk for FileDisk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(FileBackend { file: self.file.try_clone()?, flush: self.flush }))
    }

    fn clear(&self) -> Result<()> {
        self.file.set_len(0).step(|| format!("database {}: clear", self.path.display()))
    }
}

// === impl FileBackend ===

impl StorageBackend for FileBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let old = self.len()?;
        if len <= old || self.flush == Flush::ToKernel {
            return self.file.set_len(len);
        }
        let mode = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&self.file, mode, old, len - old).map_err(io::Error::from) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.file.set_len(len),
            Err(error) => {
                // It may have grown half-way.
                self.file.set_len(old)?;
                Err(error)
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.flush {
            Flush::ToDisk => self.file.sync_data(),
            Flush::ToKernel => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

// === impl Leased ===

impl Leased {
    pub(crate) fn new(backend: Box<dyn StorageBackend>, lease: Lease) -> Self {
        Self { backend, lease }
    }

    fn with<R>(&self, run: impl FnOnce(&dyn StorageBackend) -> io::Result<R>) -> io::Result<R> {
        let revoked = self.lease.revoked.read().unwrap_or_else(PoisonError::into_inner);
        match *revoked {
            true => Err(io::Error::other("the database was closed after an I/O error")),
            false => run(self.backend.as_ref()),
        }
    }
}

impl StorageBackend for Leased {
    fn len(&self) -> io::Result<u64> {
        self.with(|backend| backend.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|backend| backend.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|backend| backend.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.lease.flushes.fetch_add(1, Ordering::Relaxed);
        self.with(|backend| backend.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|backend| backend.write(offset, data))
    }
}

// === impl Lease ===

impl Lease {
    /// A lease of a new backend, counting on with this one's flushes.
    pub(crate) fn renew(&self) -> Self {
        Self { revoked: Arc::default(), flushes: self.flushes.clone() }
    }

    /// When it returns, no use of the backend is under way, and none will begin.
    pub(crate) fn revoke(&self) {
        *self.revoked.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }
}

fn in_use(path: &Path, file: &File) -> Error {
    let holder = file.metadata().ok().and_then(|metadata| lock_holder(metadata.dev(), metadata.ino()));
    let by = match holder {
        Some(pid) => {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("process {pid} ({})", name.trim())
        }
        None => "another process".to_owned(),
    };
    Error::new(Kind::FailedPrecondition, format!("database {}: in use by {by}", path.display()))
        .hint("stop it first, or give this one a root and a state directory of its own")
}

/// The process that holds an flock on the file, by the kernel's list: `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`.
fn lock_holder(dev: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", rustix::fs::major(dev), rustix::fs::minor(dev));
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, locked, ..] = fields[..] else { return None };
        (locked == file).then(|| pid.parse().ok())?
    })
}
