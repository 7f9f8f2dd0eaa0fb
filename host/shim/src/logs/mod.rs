//! Container output to files, on one thread of its own: a write can wait for a disk, exits must not.

mod lines;
mod listener;
mod sink;
mod source;
mod thread;
mod time;

use std::{
    collections::HashSet,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
};
use tokio::sync::oneshot;
use wharf_error::{Error, Result, ResultExt as _};
use wharf_shim_api::AttachEnd;

use self::{lines::Lines, listener::Listener, source::Source, thread::Writer};
pub use self::{
    lines::Stream,
    sink::Sink,
    time::{now, now_nanos},
};

/// How long an exit waits for what the process wrote last. A disk that takes longer gets it later.
const DRAIN: Duration = Duration::from_secs(1);

/// Between two looks at whether all is there.
const DRAIN_PAUSE: Duration = Duration::from_millis(5);

/// The thread's stack: its frames are small, its buffers on the heap.
const STACK: usize = 128 * 1024;

/// The log thread; started with the first source.
#[derive(Default)]
pub struct Logs {
    running: Mutex<Option<Running>>,
    sessions: AtomicU64,
}

/// What the bytes of a source become.
pub enum Format {
    /// CRI's lines; longer ones are cut at this many bytes.
    Cri { stream: Stream, max_line: usize },
    /// As they are.
    Raw { stream: Stream },
}

struct Running {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    /// Who has, or had, sources: nobody else waits for the thread.
    owners: HashSet<u64>,
}

enum Command {
    Add(Source),
    /// Read what is there from all sources of the owner, then answer.
    Drain {
        owner: u64,
        /// How many of them are still open.
        done: oneshot::Sender<usize>,
    },
    /// The same, and close them.
    Remove {
        owner: u64,
    },
    /// Copy a source to a client that is attached.
    Listen(Listener),
    /// The owner's process has ended: its clients get what they have not got yet, and then the end.
    Finish {
        owner: u64,
    },
}

// === impl Logs ===

impl Logs {
    /// Reads `fd` from now until its end. The owner is a number by which to drain and remove it.
    pub fn add(&self, owner: u64, fd: OwnedFd, sink: Option<Arc<Mutex<Sink>>>, format: &Format) -> Result<()> {
        let flags = fcntl_getfl(&fd).map_err(std::io::Error::from).step(|| "log source: fcntl".into())?;
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK).map_err(std::io::Error::from).step(|| "log source: fcntl".into())?;
        let (stream, lines) = match format {
            Format::Cri { stream, max_line } => (*stream, Some(Lines::new(*stream, *max_line))),
            Format::Raw { stream } => (*stream, None),
        };
        self.send(owner, Command::Add(Source { owner, stream, fd, sink, lines, waits: false }))
    }

    /// A number for an attachment, which its two streams share.
    pub fn new_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// Copies one of the owner's streams from now on into a FIFO, and tells the end of that. A session whose one
    /// stream is too slow ends with both.
    pub fn listen(
        &self,
        owner: u64,
        stream: Stream,
        session: u64,
        fifo: OwnedFd,
    ) -> Result<oneshot::Receiver<AttachEnd>> {
        let (done, ended) = oneshot::channel();
        self.send(owner, Command::Listen(Listener::new(owner, stream, session, fifo, done)))?;
        Ok(ended)
    }

    /// Lets the owner's attached clients have the rest, and ends them.
    pub fn finish(&self, owner: u64) {
        if self.has(owner) {
            drop(self.send(owner, Command::Finish { owner }));
        }
    }

    /// Waits until everything that the owner's processes have written is in its file, a second at most.
    pub async fn drain(&self, owner: u64) {
        let (done, drained) = oneshot::channel();
        if self.has(owner)
            && self.send(owner, Command::Drain { owner, done }).is_ok()
            && tokio::time::timeout(DRAIN, drained).await.is_err()
        {
            tracing::warn!("the log's disk is slow: an exit is reported before the last lines are written");
        }
    }

    /// Waits until all that the owner's sources will ever bring is in its file, a second at most: for writers that are not
    /// the process itself.
    pub async fn drain_to_end(&self, owner: u64) {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while self.has(owner) && tokio::time::Instant::now() < deadline {
            let (done, drained) = oneshot::channel();
            let asked = self.send(owner, Command::Drain { owner, done });
            if asked.is_err() || !matches!(tokio::time::timeout_at(deadline, drained).await, Ok(Ok(1..))) {
                return;
            }
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
    }

    /// Writes what is there and closes the owner's sources, also when somebody could still write.
    pub fn remove(&self, owner: u64) {
        if self.has(owner) {
            drop(self.send(owner, Command::Remove { owner }));
        }
    }

    fn has(&self, owner: u64) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().is_some_and(|running| running.owners.contains(&owner))
    }

    fn send(&self, owner: u64, command: Command) -> Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match &mut *running {
            Some(running) => running,
            none => none.insert(Running::start()?),
        };
        match command {
            Command::Add(_) => running.owners.insert(owner),
            Command::Remove { .. } => running.owners.remove(&owner),
            Command::Drain { .. } | Command::Listen(_) | Command::Finish { .. } => false,
        };
        running.commands.send(command).map_err(|_| Error::internal("the log thread has ended"))?;
        rustix::io::write(&running.wake, &1u64.to_ne_bytes())
            .map_err(std::io::Error::from)
            .step(|| "wake the log thread".into())?;
        Ok(())
    }
}

// === impl Running ===

impl Running {
    fn start() -> Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = Arc::new(wake.map_err(std::io::Error::from).step(|| "start the log thread: eventfd".into())?);
        let (commands, received) = channel();
        let writer = Writer::new(wake.clone(), received)?;
        std::thread::Builder::new()
            .name("logs".into())
            .stack_size(STACK)
            .spawn(move || writer.run())
            .step(|| "start the log thread".into())?;
        Ok(Self { commands, wake, owners: HashSet::new() })
    }
}

/// Opens a log file to append to, `0640`. The folder must be there.
pub fn open_sink(path: &Path) -> Result<Arc<Mutex<Sink>>> {
    Ok(Arc::new(Mutex::new(Sink::open(path)?)))
}

#[cfg(test)]
mod tests;
