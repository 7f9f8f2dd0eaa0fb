use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use redb::{ReadableDatabase as _, StorageBackend};
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    disk::{Disk, Lease, Leased},
    error::{damaged, storage},
    overlay::Overlay,
    view::View,
};

/// One redb file that opens itself again after an I/O error: redb refuses everything from then on, but a
/// disk that was full for a moment must not take the daemon with it. Until it can be written again it is read
/// from a copy in memory.
pub(crate) struct Database {
    disk: Box<dyn Disk>,
    cache: usize,
    slot: RwLock<Slot>,
}

/// One opening of the file.
pub(crate) struct Handle {
    db: redb::Database,
    lease: Lease,
}

struct Slot {
    handle: Option<Arc<Handle>>,
    /// What is read while the file cannot be opened again, because its disk is full or read-only: a copy in memory.
    stand_in: Option<Arc<Handle>>,
    lease: Lease,
}

// === impl Database ===

impl Database {
    /// Opens or creates the database. `cache` bounds the memory it keeps pages in.
    ///
    /// Reads all pages once and compares their checksums: a few milliseconds for some megabytes.
    ///
    /// # Errors
    /// `DataLoss` for a file that is damaged or no database.
    pub(crate) fn open(disk: impl Disk + 'static, cache: usize) -> Result<Self> {
        let lease = Lease::default();
        let handle = Handle::open(&disk, cache, lease.clone(), true)?;
        let slot = RwLock::new(Slot { handle: Some(Arc::new(handle)), stand_in: None, lease });
        Ok(Self { disk: Box::new(disk), cache, slot })
    }

    pub(crate) fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Flushes since the file was opened.
    pub(crate) fn flushes(&self) -> u64 {
        self.slot.read().unwrap_or_else(PoisonError::into_inner).lease.flushes()
    }

    /// All that is committed now.
    pub(crate) fn view(self: &Arc<Self>) -> Result<View> {
        let handle = self.readable()?;
        match handle.db.begin_read() {
            Ok(txn) => Ok(View::new(txn, handle, self.clone())),
            Err(error) => {
                self.abandon(&handle);
                Err(storage(self.path(), "begin to read", error))
            }
        }
    }

    /// Writes all changes, or none, and returns when they are flushed.
    ///
    /// # Errors
    /// After an error that came while flushing, the changes may be there or not.
    pub(crate) fn apply(&self, changes: &Overlay) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let handle = self.writable()?;
        // redb's own defence against a file that changes under it is a panic.
        let result = catch_unwind(AssertUnwindSafe(|| handle.write(changes)))
            .unwrap_or_else(|_| Err(redb::Error::Corrupted("the database's own checks failed".into())));
        result.map_err(|error| {
            self.abandon(&handle);
            storage(self.path(), "write", error)
        })
    }

    /// Has the file opened again by whoever needs it next.
    pub(crate) fn abandon(&self, failed: &Arc<Handle>) {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        let Slot { handle, stand_in, .. } = &mut *slot;
        for current in [handle, stand_in] {
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, failed)) {
                failed.lease.revoke();
                *current = None;
                tracing::warn!(database = %self.path().display(), "closed after an error; it will be opened again");
            }
        }
    }

    fn readable(&self) -> Result<Arc<Handle>> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = slot.handle.as_ref().or(slot.stand_in.as_ref()) {
            return Ok(handle.clone());
        }
        drop(slot);
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        let error = match self.reopen(&mut slot) {
            Ok(handle) => return Ok(handle),
            Err(error) => error,
        };
        let handle = match &slot.stand_in {
            Some(handle) => handle.clone(),
            None => {
                tracing::warn!(database = %self.path().display(), %error, "read from a copy in memory until it can be written again");
                Arc::new(Handle::open_copy(self.disk.as_ref(), self.cache)?)
            }
        };
        slot.stand_in = Some(handle.clone());
        Ok(handle)
    }

    fn writable(&self) -> Result<Arc<Handle>> {
        if let Some(handle) = &self.slot.read().unwrap_or_else(PoisonError::into_inner).handle {
            return Ok(handle.clone());
        }
        self.reopen(&mut self.slot.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn reopen(&self, slot: &mut Slot) -> Result<Arc<Handle>> {
        if let Some(handle) = &slot.handle {
            return Ok(handle.clone());
        }
        let lease = slot.lease.renew();
        let handle = Arc::new(Handle::open(self.disk.as_ref(), self.cache, lease.clone(), false)?);
        *slot = Slot { handle: Some(handle.clone()), stand_in: None, lease };
        tracing::info!(database = %self.path().display(), "opened again");
        Ok(handle)
    }
}

// === impl Handle ===

impl Handle {
    fn open(disk: &dyn Disk, cache: usize, lease: Lease, check: bool) -> Result<Self> {
        let backend = disk.backend().step(|| format!("database {}: open", disk.path().display()))?;
        Self::open_backend(disk.path(), backend, cache, lease, check)
    }

    /// Opens a copy of the file in memory, which is never written back.
    fn open_copy(disk: &dyn Disk, cache: usize) -> Result<Self> {
        let copy = || {
            let file = disk.backend()?;
            let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
            file.read(0, &mut bytes)?;
            let memory = redb::backends::InMemoryBackend::new();
            memory.set_len(file.len()?)?;
            memory.write(0, &bytes)?;
            Ok::<_, io::Error>(Box::new(memory))
        };
        let memory = copy().step(|| format!("database {}: copy to memory", disk.path().display()))?;
        Self::open_backend(disk.path(), memory, cache, Lease::default(), false)
    }

    fn open_backend(
        path: &Path,
        backend: Box<dyn StorageBackend>,
        cache: usize,
        lease: Lease,
        check: bool,
    ) -> Result<Self> {
        let backend = Leased::new(backend, lease.clone());
        let mut builder = redb::Builder::new();
        builder.set_cache_size(cache).set_check_integrity_on_open(check);
        match catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(backend))) {
            Ok(Ok(db)) => Ok(Self { db, lease }),
            Ok(Err(error)) => Err(storage(path, "open", error)),
            Err(panic) => Err(damaged(format!("database {}: open", path.display()), &panic_text(panic.as_ref()))),
        }
    }

    fn write(&self, changes: &Overlay) -> Result<(), redb::Error> {
        let mut txn = self.db.begin_write()?;
        txn.set_durability(redb::Durability::Immediate)?;
        for (name, rows) in changes.tables() {
            let mut table = txn.open_table(redb::TableDefinition::<&str, &[u8]>::new(name))?;
            for (key, value) in rows {
                match value {
                    Some(value) => drop(table.insert(key.as_str(), value.as_slice())?),
                    None => drop(table.remove(key.as_str())?),
                }
            }
        }
        Ok(txn.commit()?)
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no reason was given").to_owned()
}

/// The error of a closure that panicked: its changes are gone, those of the others are not.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    Error::internal(format!("a change of the store panicked: {}", panic_text(panic)))
}
