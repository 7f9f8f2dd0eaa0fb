use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use oci_spec::image::Descriptor;
use rustix::fs::SeekFrom;
use tokio::sync::{Mutex, watch};
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{filled::Filled, spools::Spools};

/// Holes are told in blocks: what lies before one is whole but for its last block.
const BLOCK: u64 = 64 << 10;

/// One blob on its way. Whoever needs it holds it; with the last one it goes.
pub(crate) struct Spool {
    spools: Spools,
    place: Place,
    pub(super) descriptor: Descriptor,
    file: Option<Arc<File>>,
    pub(super) filled: watch::Sender<Filled>,
    /// Held by the one who fetches.
    pub(super) lead: Mutex<()>,
    resumed: bool,
    /// A layer was made of it: the next one of the same blob begins anew.
    finished: AtomicBool,
}

/// Where the spools have one.
#[derive(Clone)]
pub(super) struct Place {
    /// Of the file, in their folder.
    pub name: String,
    /// Tells it from an earlier one of the same name.
    pub id: u64,
}

// === impl Spool ===

impl Spool {
    /// `file` may have the beginning of the blob. Blocking.
    pub(super) fn new(spools: Spools, place: Place, descriptor: Descriptor, file: File) -> Result<Self> {
        let step = || format!("content: read what is here of {}", descriptor.digest());
        let length = file.metadata().step(step)?.len();
        let end = match length {
            0 => 0,
            _ => rustix::fs::seek(&file, SeekFrom::Hole(0)).map_err(std::io::Error::from).step(step)?,
        };
        let ready = match end {
            end if end > descriptor.size() => 0,
            end if end == length => end,
            end => end.saturating_sub(BLOCK),
        };
        // What lies behind a hole is fetched again.
        file.set_len(ready).step(step)?;
        Ok(Self {
            spools,
            place,
            file: Some(Arc::new(file)),
            filled: watch::Sender::new(Filled::up_to(ready)),
            lead: Mutex::default(),
            resumed: ready > 0,
            finished: AtomicBool::new(false),
            descriptor,
        })
    }

    /// Bytes that have arrived, in any order.
    pub fn arrived(&self) -> u64 {
        self.filled.borrow().bytes()
    }

    /// Waits until more bytes have arrived than these.
    pub async fn more_than(&self, bytes: u64) {
        // The sender is ours: it cannot be gone.
        let _ = self.filled.subscribe().wait_for(|filled| filled.bytes() > bytes).await;
    }

    /// Whether some bytes are of an earlier try, which may have been cut off in any state.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// A layer is made of it: with its last holder the file goes. Otherwise it is kept for the next try.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    /// The bytes are bad, or there is no room for them: the next one begins anew. Who has them open reads on.
    /// Blocking.
    pub fn discard(&self) {
        self.spools.forget(&self.place, true);
    }

    /// Blocking.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        match &self.file {
            Some(file) => file.read_at(buffer, offset),
            None => Ok(0),
        }
    }

    /// Writes chunks one after another; when they are written they may be read.
    pub(super) async fn write(&self, offset: u64, chunks: Vec<Bytes>) -> Result<u64> {
        let step = || format!("content: write {}", self.descriptor.digest());
        let Some(file) = self.file.clone() else { return Err(Error::new(Kind::Internal, step())) };
        let writing = tokio::task::spawn_blocking(move || {
            chunks.iter().try_fold(offset, |at, chunk| file.write_all_at(chunk, at).map(|()| at + chunk.len() as u64))
        });
        let end = writing.await.step(step)?.step(step)?;
        point!("images.spool.written");
        self.filled.send_modify(|filled| filled.add(offset..end));
        Ok(end)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let spent = self.finished.load(Ordering::Relaxed) || self.arrived() == 0;
        let (spools, place, file) = (self.spools.clone(), self.place.clone(), self.file.take());
        let end = move || {
            spools.forget(&place, spent);
            // A file without a name takes its time to go.
            drop(file);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(end)),
            Err(_) => end(),
        }
    }
}
