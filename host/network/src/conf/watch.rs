use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};
use tokio::sync::Notify;

/// Whoever writes a file writes several times.
const SETTLE: Duration = Duration::from_millis(50);

/// How often is looked where the kernel does not tell.
const POLL: Duration = Duration::from_secs(5);

/// Tells when a folder's files may have changed, also one that is not there yet.
pub(crate) struct Watch {
    folder: PathBuf,
    /// None: the kernel gave no watch, and time tells.
    inotify: Option<Inotify>,
}

/// The kernel's events, waited for on a thread: the reactor takes a descriptor of this kind in unsafe code only.
struct Inotify {
    events: Arc<OwnedFd>,
    told: Arc<Notify>,
    /// Ends the thread when this does.
    _life: OwnedFd,
}

// === impl Watch ===

impl Watch {
    /// Without the kernel's help, [`Watch::changed`] answers every five seconds.
    pub(crate) fn new(folder: &Path) -> Self {
        let inotify = Inotify::start().inspect_err(|error| {
            let folder = folder.display();
            tracing::warn!(%error, %folder, "watch the network configuration; looking every {POLL:?} instead");
        });
        let watch = Self { folder: folder.to_owned(), inotify: inotify.ok() };
        watch.add();
        watch
    }

    /// Returns when something may have changed since [`Watch::new`] or the last return.
    pub(crate) async fn changed(&self) {
        let Some(inotify) = &self.inotify else { return tokio::time::sleep(POLL).await };
        inotify.told.notified().await;
        tokio::time::sleep(SETTLE).await;
        // The folder may have come, gone, or be another one. Before it is read again, so that no change is missed.
        self.add();
    }

    /// Watches the folder, or what is there of the way to it. What is watched already is not watched twice.
    fn add(&self) {
        let Some(inotify) = &self.inotify else { return };
        let events = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // Its parent as well: one folder may be renamed onto another.
        let mut found = 0;
        for path in self.folder.ancestors() {
            match inotify::add_watch(&inotify.events, path, events) {
                Ok(_) => found += 1,
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => tracing::warn!(%error, folder = %path.display(), "watch the network configuration"),
            }
            if found == 2 {
                return;
            }
        }
    }
}

// === impl Inotify ===

impl Inotify {
    fn start() -> io::Result<Self> {
        let events = Arc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        let (end, life) = pipe_with(PipeFlags::CLOEXEC)?;
        let told = Arc::new(Notify::new());
        let (waits, tells) = (events.clone(), told.clone());
        thread::Builder::new().name("network-config".into()).spawn(move || wait(&waits, &end, &tells))?;
        Ok(Self { events, told, _life: life })
    }
}

/// Until the other end of the pipe is closed.
fn wait(events: &OwnedFd, end: &OwnedFd, told: &Notify) {
    loop {
        let mut ready = [PollFd::new(events, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) if !ready[1].revents().is_empty() => return,
            Ok(_) => {
                drain(events);
                told.notify_one();
            }
            Err(Errno::INTR) => {}
            Err(error) => return tracing::warn!(%error, "wait for changes of the network configuration"),
        }
    }
}

/// Takes all events away: that there was one is all that is asked.
fn drain(events: &OwnedFd) {
    let mut buffer = [0; 4096];
    while rustix::io::read(events, &mut buffer).is_ok_and(|read| read > 0) {}
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn tells(watch: &Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn a_file_and_a_folder_that_come_later_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cni/net.d");
        let watch = Watch::new(&folder);
        fs::create_dir(dir.path().join("cni")).unwrap();
        assert!(tells(&watch).await, "the parent has come");
        fs::create_dir(&folder).unwrap();
        assert!(tells(&watch).await, "the folder has come");
        fs::write(folder.join("10-x.conf"), "{}").unwrap();
        assert!(tells(&watch).await, "a file has come");
        fs::remove_file(folder.join("10-x.conf")).unwrap();
        assert!(tells(&watch).await, "a file has gone");
    }
}
