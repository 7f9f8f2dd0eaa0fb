use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use oci_spec::image::Descriptor;
use wharf_error::{Result, ResultExt as _};
use wharf_registry::check_algorithm;

use super::file::{Place, Spool};

/// What the files of downloads are called, followed by digest and size: two manifests that tell one blob's size
/// differently do not share, for one of them is wrong.
const PREFIX: &str = "blob-";

/// The blobs on their way, by digest. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Spools {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    /// By the file's name.
    open: Mutex<HashMap<String, Open>>,
    next: AtomicU64,
}

struct Open {
    id: u64,
    spool: Weak<Spool>,
}

// === impl Spools ===

impl Spools {
    /// In this folder, which exists.
    pub fn new(dir: &Path) -> Self {
        Self { inner: Arc::new(Inner { dir: dir.to_owned(), open: Mutex::default(), next: AtomicU64::default() }) }
    }

    /// Whether a file of the folder is an unfinished download, worth keeping for a while.
    pub fn is_download(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// The file of a blob, shared with whoever has it open; it may have the beginning of it already. Blocking.
    ///
    /// # Errors
    /// `Unsupported` for a digest that cannot be verified; those of the disk.
    pub fn open(&self, descriptor: &Descriptor) -> Result<Arc<Spool>> {
        check_algorithm(descriptor.digest())?;
        // The two algorithms differ in length.
        let name = format!("{PREFIX}{}-{}", descriptor.digest().digest(), descriptor.size());
        let step = || format!("content: open a file for {}", descriptor.digest());
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spool) = open.get(&name).and_then(|open| open.spool.upgrade()) {
            return Ok(spool);
        }
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.inner.dir.join(&name)).step(step)?;
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let place = Place { name: name.clone(), id };
        let spool = Arc::new(Spool::new(self.clone(), place, descriptor.clone(), file)?);
        open.insert(name, Open { id, spool: Arc::downgrade(&spool) });
        Ok(spool)
    }

    /// Removes what nobody has open and nothing was written to for so long. Blocking.
    pub fn sweep(&self, unused_for: Duration) -> Result<()> {
        let open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let step = || format!("content: list {}", self.inner.dir.display());
        for entry in fs::read_dir(&self.inner.dir).step(step)? {
            let entry = entry.step(step)?;
            let Some(name) = entry.file_name().into_string().ok().filter(|name| Self::is_download(name)) else {
                continue;
            };
            let in_use = open.get(&name).is_some_and(|open| open.spool.strong_count() > 0);
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let idle = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
            if !in_use && idle >= unused_for {
                tracing::debug!(file = name, "content: removed an unfinished download");
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Takes a spool out, and its file with it where that is spent. Blocking.
    pub(super) fn forget(&self, place: &Place, spent: bool) {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one may have taken its place, and its file.
        if open.get(&place.name).is_none_or(|there| there.id != place.id) {
            return;
        }
        open.remove(&place.name);
        if spent && let Err(error) = remove(&self.inner.dir.join(&place.name)) {
            tracing::warn!(%error, "content: a download stays until it is collected");
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).step(|| format!("content: remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
