//! A disk with a volatile cache, as an NBD server: QEMU is its client.

mod cache;
mod protocol;

use std::{
    fs::{self, File},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow};

use self::{cache::Cache, protocol::serve};
use crate::disk::Disk;

/// A disk that answers a write before it has it: what was not flushed when the power goes is there or not, sector by
/// sector, in no order. A guest that flushes what it must keep loses nothing by it. Ends on drop, which loses nothing.
#[derive(Debug)]
pub struct LossyDisk {
    shared: Arc<Shared>,
    socket: PathBuf,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    cache: Mutex<Cache>,
    stop: AtomicBool,
    /// Held while a machine is served; why that ended that should not have.
    serving: Mutex<Option<String>>,
}

// === impl LossyDisk ===

impl LossyDisk {
    /// Serves a disk on this socket, to one machine at a time.
    ///
    /// # Errors
    ///
    /// When the disk cannot be opened or the socket not be made.
    pub fn serve(disk: &Disk, socket: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).open(disk.path());
        let file = file.with_context(|| format!("open the disk {}", disk.path().display()))?;
        let cache = Mutex::new(Cache::new(file)?);
        let listener = UnixListener::bind(socket).with_context(|| format!("listen on {}", socket.display()))?;
        let shared = Arc::new(Shared { cache, stop: AtomicBool::new(false), serving: Mutex::default() });
        let server = thread::Builder::new().name("lossy-disk".into()).spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        })?;
        Ok(Self { shared, socket: socket.to_owned(), server: Some(server) })
    }

    /// What QEMU knows it by.
    pub fn address(&self) -> String {
        format!("nbd+unix:///?socket={}", self.socket.display())
    }

    /// The power of the disk is to go as soon as so many sectors are written and not flushed: from then on it answers
    /// nobody, until [`Self::power_cut`].
    pub fn cut_at(&self, unflushed: usize) {
        lock(&self.shared.cache).cut_at(unflushed);
    }

    /// Whether it has gone.
    pub fn is_cut(&self) -> bool {
        lock(&self.shared.cache).is_gone()
    }

    /// The power has gone: of each sector that was not flushed `keeps` says whether it came to be written. Call it when
    /// the machine has ended. How many there were, and how many of them are lost.
    ///
    /// # Errors
    ///
    /// When the disk cannot be written, or a connection broke off by an error before.
    pub fn power_cut(&self, keeps: impl FnMut() -> bool) -> Result<(usize, usize)> {
        // What the machine had sent before its end is taken first.
        let mut trouble = lock(&self.shared.serving);
        if let Some(trouble) = trouble.take() {
            return Err(anyhow!("the guest's disk: {trouble}"));
        }
        lock(&self.shared.cache).power_cut(keeps)
    }
}

impl Drop for LossyDisk {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the server; it fails only when that has ended.
        let _ = UnixStream::connect(&self.socket);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        let _ = fs::remove_file(&self.socket);
        // Nobody is there to be told.
        let _ = lock(&self.shared.cache).flush();
    }
}

// One machine after the other: a connection ends with its machine.
fn accept(listener: &UnixListener, shared: &Shared) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let mut trouble = lock(&shared.serving);
        if let Err(error) = stream.map_err(anyhow::Error::from).and_then(|stream| serve(stream, &shared.cache)) {
            *trouble = Some(format!("{error:#}"));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
