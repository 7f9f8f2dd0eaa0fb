use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use cap_std::fs::Dir;
use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, unlinkat},
    io::Errno,
};
use wharf_crash_points::point;

/// Where removed things wait in the plugin's folder: on the same file system, so a rename takes them there.
const NAME: &str = ".removed";

/// How long the plugin's end waits for what is still to be deleted.
const GRACE: Duration = Duration::from_secs(2);

/// Deletes in the background what was removed. Never recursive: each directory found is moved up here and waits its
/// turn, so a tree that a container made arbitrarily deep costs neither stack nor descriptors.
pub(super) struct Trash {
    inner: Arc<Inner>,
    /// None once it ends.
    deleter: Option<(mpsc::Sender<CString>, thread::JoinHandle<()>)>,
}

struct Inner {
    dir: OwnedFd,
    next: AtomicU64,
    /// Set when the plugin goes: what is left at that time is deleted after the next start.
    end: OnceLock<Instant>,
}

// === impl Trash ===

impl Trash {
    /// Makes the directory and sends all that is still in it to be deleted.
    pub(super) fn open(root: &Dir, plugin: &str) -> io::Result<Self> {
        match mkdirat(root.as_fd(), NAME, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let dir = openat(root.as_fd(), NAME, DIRECTORY, Mode::empty())?;
        let inner = Arc::new(Inner { dir, next: AtomicU64::new(0), end: OnceLock::new() });
        let (work, todo) = mpsc::channel::<CString>();
        for name in names(inner.dir.as_fd())? {
            // The receiver is below.
            let _ = work.send(name);
        }
        let deleter = thread::Builder::new().name(format!("trash-{plugin}")).spawn({
            let inner = inner.clone();
            move || {
                for name in todo {
                    inner.delete_tree(name);
                }
            }
        })?;
        Ok(Self { inner, deleter: Some((work, deleter)) })
    }

    /// Takes a name out of its directory.
    pub(super) fn take(&self, from: &OwnedFd, name: &str) -> io::Result<()> {
        let taken = self.inner.take(from.as_fd(), &CString::new(name)?)?;
        point!("plugins.layer-dir.taken");
        if let Some((work, _)) = &self.deleter {
            // A deleter that died leaves it to the next start.
            let _ = work.send(taken);
        }
        Ok(())
    }
}

impl Drop for Trash {
    /// Waits for what is still to be deleted, two seconds at most.
    fn drop(&mut self) {
        let _ = self.inner.end.set(Instant::now() + GRACE);
        if let Some((work, deleter)) = self.deleter.take() {
            drop(work);
            let _ = deleter.join();
        }
    }
}

// === impl Inner ===

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

impl Inner {
    /// Moves something here under a name that is free.
    fn take(&self, from: BorrowedFd<'_>, name: &CStr) -> io::Result<CString> {
        loop {
            let free = CString::new(self.next.fetch_add(1, Ordering::Relaxed).to_string())?;
            match renameat_with(from, name, &self.dir, &free, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(free),
                // A leftover of an earlier start has it.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn over(&self) -> bool {
        self.end.get().is_some_and(|end| Instant::now() >= *end)
    }

    fn delete_tree(&self, name: CString) {
        let mut waiting = vec![name];
        while let Some(name) = waiting.pop() {
            if self.over() {
                return;
            }
            point!("plugins.layer-dir.delete");
            if let Err(error) = self.delete(&name, &mut waiting) {
                tracing::warn!("delete {NAME}/{}: {error}; tried again after the next start", name.to_string_lossy());
            }
        }
    }

    /// Deletes a file or an emptied directory here; directories in it are moved here and added to what waits.
    fn delete(&self, name: &CStr, waiting: &mut Vec<CString>) -> io::Result<()> {
        match unlinkat(&self.dir, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {}
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let dir = match openat(&self.dir, name, DIRECTORY, Mode::empty()) {
            Err(Errno::NOTDIR) => return Err(Errno::PERM.into()),
            dir => dir?,
        };
        for inside in names(dir.as_fd())? {
            if self.over() {
                return Ok(());
            }
            match unlinkat(&dir, &inside, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR | Errno::PERM) => match unlinkat(&dir, &inside, AtFlags::REMOVEDIR) {
                    Ok(()) => {}
                    Err(Errno::NOTEMPTY | Errno::EXIST) => waiting.push(self.take(dir.as_fd(), &inside)?),
                    Err(error) => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(unlinkat(&self.dir, name, AtFlags::REMOVEDIR)?)
    }
}

/// All names in a directory but its own two.
fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    Ok(names)
}
