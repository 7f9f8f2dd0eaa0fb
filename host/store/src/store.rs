use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use tokio::{sync::oneshot, task};
use wharf_error::{Error, Result};
use wharf_steps::step;

use crate::{
    committer::{Committer, stopped, write_now},
    database::Database,
    disk::Disk,
    mirror::Mirror,
    reader::Reader,
    setup::{Files, Place},
    table::{PREVIOUS, Table},
    writer::Writer,
};

/// The daemon's book: two databases, one for what outlives a reboot, one for what does not.
///
/// Cheap to clone; all clones are one store. The last one dropped finishes what is queued, makes the last copy
/// and releases the files: some milliseconds, blocking.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    meta: Arc<Database>,
    state: Arc<Database>,
    committer: Arc<Committer>,
    mirror: Mirror,
    crash_turn: Mutex<()>,
    id: String,
    boot: String,
    previous_boot: Option<String>,
}

// === impl Store ===

impl Store {
    /// Opens the two files, creating those that are missing (mode 0600; their folders must be there).
    ///
    /// Blocking; a few milliseconds. It reads every page once to find damage here and not later.
    ///
    /// # Errors
    /// `FailedPrecondition` when another process has one of the files open (named where the kernel tells), when a
    /// file was written by a newer version, or when `state` belongs to another `meta`; `DataLoss` for a file that
    /// is damaged or not ours; `Exhausted` on a full disk. Nothing is changed then.
    pub fn open(meta: &Path, state: &Path) -> Result<Self> {
        Self::open_place(Place::lock(meta, state)?)
    }

    pub(crate) fn open_place(place: Place<impl Disk + 'static>) -> Result<Self> {
        let Files { meta, state, id, boot, previous_boot } = place.open()?;
        let committer = Arc::new(Committer::start(meta.clone())?);
        let mirror = Mirror::start(&meta, state.clone(), committer.clone())?;
        let crash_turn = Mutex::new(());
        Ok(Self(Arc::new(Inner { meta, state, committer, mirror, crash_turn, id, boot, previous_boot })))
    }

    /// Reads any rows. Sees what was committed when it begins to; never waits for a writer. Blocking, but mostly in memory.
    ///
    /// # Errors
    /// The closure's own.
    pub fn read<R>(&self, read: impl FnOnce(&Reader<'_>) -> Result<R>) -> Result<R> {
        read(&Reader::new(&self.0.meta, &self.0.state))
    }

    /// Changes rows of [`Lifetime::Durable`](crate::Lifetime) tables and returns when they are on the disk.
    ///
    /// Runs on the store's writer thread, after the writes that came before; all that wait share one flush. A change
    /// that touches nothing costs no flush. Blocking: a flush is 0.2 ms on a quiet disk, some more on a busy one.
    /// The closure must be short and must not write to the store again.
    ///
    /// # Errors
    /// The closure's own, and then its changes (and no other's) are dropped; also when it panics. `Exhausted` on a
    /// full disk and `FailedPrecondition` on a read-only one: the store stays usable. After an error of the flush
    /// itself the changes may be there or not.
    pub fn write_durable<R, F>(&self, change: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Writer<'_>) -> Result<R> + Send + 'static,
    {
        self.0.committer.write(change)
    }

    /// Changes rows of [`Lifetime::Crash`](crate::Lifetime) tables, at once, on this thread. Microseconds; writers
    /// take turns. The closure must be short and must not write to the store again.
    ///
    /// # Errors
    /// As [`write_durable`](Self::write_durable).
    pub fn write_crash<R>(&self, change: impl FnOnce(&mut Writer<'_>) -> Result<R>) -> Result<R> {
        let Inner { crash_turn, state, mirror, .. } = &*self.0;
        write_now(crash_turn, state, change, |changes| mirror.changed(changes))
    }

    /// [`write_durable`](Self::write_durable) for async code. Cancelling it stops the waiting, not the write.
    ///
    /// # Errors
    /// As [`write_durable`](Self::write_durable).
    pub async fn durable<R, F>(&self, change: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Writer<'_>) -> Result<R> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        self.0.committer.submit(change, move |result| drop(sender.send(result)));
        step(|| "write the books to the disk".into(), answer).await.unwrap_or_else(|_| Err(stopped()))
    }

    /// [`write_crash`](Self::write_crash) for async code, on a blocking thread. Cancelling it does not undo it.
    ///
    /// # Errors
    /// As [`write_durable`](Self::write_durable).
    pub async fn crash<R, F>(&self, change: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Writer<'_>) -> Result<R> + Send + 'static,
    {
        let store = self.clone();
        step(|| "write the books".into(), blocking(move || store.write_crash(change))).await
    }

    /// [`read`](Self::read) for async code, on a blocking thread.
    ///
    /// # Errors
    /// The closure's own.
    pub async fn query<R, F>(&self, read: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<R> + Send + 'static,
    {
        let store = self.clone();
        step(|| "read the books".into(), blocking(move || store.read(read))).await
    }

    /// This store's own UUID, made when its durable file was.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The id of this boot of the machine.
    pub fn boot(&self) -> &str {
        &self.0.boot
    }

    /// The id of the boot in which the store was used before this one, if there was one.
    pub fn previous_boot_id(&self) -> Option<&str> {
        self.0.previous_boot.as_deref()
    }

    /// What earlier boots left in a table with [`Table::BOOT_COPY`]: given until
    /// [`forget_previous_boot`](Self::forget_previous_boot), by key. What changed in the last second before a power
    /// cut may be missing. Blocking.
    ///
    /// # Errors
    /// `DataLoss` for a row that is not what its table says.
    pub fn previous_boot<T: Table>(&self) -> Result<Vec<(String, T::Row)>> {
        self.read(|reader| reader.previous::<T>())
    }

    /// Drops the rows with these keys from what [`previous_boot`](Self::previous_boot) gives: once they are dealt with.
    ///
    /// # Errors
    /// As [`write_durable`](Self::write_durable).
    pub fn forget_previous_boot<T: Table>(&self, keys: Vec<String>) -> Result<()> {
        self.write_durable(move |writer| {
            let table = format!("{PREVIOUS}{}", T::NAME);
            keys.iter().for_each(|key| writer.set_bytes(&table, key, None));
            Ok(())
        })
    }

    /// Brings the copies for after a reboot up to date now, not within a second. Blocking.
    ///
    /// # Errors
    /// As [`write_durable`](Self::write_durable).
    pub fn copy_now(&self) -> Result<()> {
        self.0.mirror.copy()
    }

    /// Queues a durable change without waiting for it.
    #[cfg(test)]
    pub(crate) fn submit<R, F>(&self, change: F, done: impl FnOnce(Result<R>) + Send + 'static)
    where
        R: Send + 'static,
        F: FnOnce(&mut Writer<'_>) -> Result<R> + Send + 'static,
    {
        self.0.committer.submit(change, done);
    }

    /// How often the durable file was flushed since it was opened: what durable writes really cost.
    pub fn flushes(&self) -> u64 {
        self.0.meta.flushes()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mirror.stop();
        self.committer.stop();
    }
}

async fn blocking<R: Send + 'static>(run: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
    let ended_early = |error| Err(Error::internal("store: a blocking thread ended early").because(error));
    task::spawn_blocking(run).await.unwrap_or_else(ended_early)
}
