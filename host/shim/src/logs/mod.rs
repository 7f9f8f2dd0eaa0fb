//! Container output to files, on one thread of its own: a write can wait for a disk, exits must not.

mod lines;
mod sink;
mod thread;
mod time;

use std::{
    collections::HashSet,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
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

use self::{lines::Lines, thread::Writer};
pub use self::{
    lines::Stream,
    sink::Sink,
    time::{now, now_nanos},
};

/// How long an exit waits for what the process wrote last. A disk that takes longer gets it later.
const DRAIN: Duration = Duration::from_secs(1);

/// The thread's stack: its frames are small, its buffers on the heap.
const STACK: usize = 128 * 1024;

/// The log thread; started with the first source.
#[derive(Default)]
pub struct Logs {
    running: Mutex<Option<Running>>,
}

/// What the bytes of a source become.
pub enum Format {
    /// CRI's lines; longer ones are cut at this many bytes.
    Cri { stream: Stream, max_line: usize },
    /// As they are.
    Raw,
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
        done: oneshot::Sender<()>,
    },
    /// The same, and close them.
    Remove {
        owner: u64,
    },
}

/// A pipe, or a terminal's master, and where its bytes go.
struct Source {
    owner: u64,
    fd: OwnedFd,
    /// `None`: only drained, so that the writer never blocks.
    sink: Option<Arc<Mutex<Sink>>>,
    lines: Option<Lines>,
}

// === impl Logs ===

impl Logs {
    /// Reads `fd` from now until its end. The owner is a number by which to drain and remove it.
    pub fn add(&self, owner: u64, fd: OwnedFd, sink: Option<Arc<Mutex<Sink>>>, format: &Format) -> Result<()> {
        let flags = fcntl_getfl(&fd).map_err(std::io::Error::from).step(|| "log source: fcntl".into())?;
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK).map_err(std::io::Error::from).step(|| "log source: fcntl".into())?;
        let lines = match format {
            Format::Cri { stream, max_line } => Some(Lines::new(*stream, *max_line)),
            Format::Raw => None,
        };
        self.send(owner, Command::Add(Source { owner, fd, sink, lines }))
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
            Command::Drain { .. } => false,
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
