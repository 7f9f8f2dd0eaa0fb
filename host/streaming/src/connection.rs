//! What SPDY and WebSocket have in common: channels, a sink to write them, inputs to deliver them to.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{Input, TerminalSize, size::Sizes};

/// Frames of input that wait for a process, for each stream.
pub(crate) const QUEUE: usize = 4;

/// How often it is looked whether a client is still there that waits for its input to be taken.
const LOOK: Duration = Duration::from_millis(500);

/// A stream of a process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Channel {
    Stdin,
    Stdout,
    Stderr,
    Error,
    Resize,
}

/// The writing side of a connection. Writers of several channels take turns, frame by frame.
#[async_trait]
pub(crate) trait Sink: Send + Sync {
    async fn send(&self, channel: Channel, bytes: &[u8]) -> io::Result<()>;

    async fn close(&self, channel: Channel) -> io::Result<()>;
}

/// What goes on on one connection.
#[derive(Clone)]
pub(crate) struct Activity {
    began: Instant,
    /// Milliseconds from the beginning.
    last: Arc<AtomicU64>,
    /// The client has gone, or is to go.
    pub(crate) gone: CancellationToken,
    /// It is to go because nothing has passed for so long.
    idled: Arc<OnceLock<Duration>>,
}

/// Where the frames of a client are delivered.
pub(crate) struct Inputs {
    stdin: Option<mpsc::Sender<Bytes>>,
    sizes: Option<Sizes>,
}

/// A second look at a connection, for whether its client has closed it.
pub(crate) struct Watch {
    connection: Arc<TcpStream>,
    nudge: Arc<dyn Nudge>,
}

/// Says something that a client takes no notice of. The kernel of one that has gone answers with a reset; its own end
/// of the connection does not arrive while what it wrote before has no room.
#[async_trait]
pub(crate) trait Nudge: Send + Sync {
    async fn nudge(&self) -> io::Result<()>;
}

// === impl Activity ===

impl Activity {
    /// Ends the connection when nothing has passed for so long.
    pub(crate) fn start(idle: Duration) -> Self {
        let activity =
            Self { began: Instant::now(), last: Arc::default(), gone: CancellationToken::new(), idled: Arc::default() };
        let watched = activity.clone();
        tokio::spawn(async move {
            loop {
                let idle_since = watched.began + Duration::from_millis(watched.last.load(Ordering::Relaxed));
                let end = idle_since + idle;
                tokio::select! {
                    () = tokio::time::sleep_until(end.into()) => {}
                    () = watched.gone.cancelled() => return,
                }
                let last = Duration::from_millis(watched.last.load(Ordering::Relaxed));
                if watched.began + last + idle <= Instant::now() {
                    tracing::info!(?idle, "nothing has passed: the stream is closed");
                    let _ = watched.idled.set(idle);
                    watched.gone.cancel();
                }
            }
        });
        activity
    }

    /// For how long nothing has passed, where that is why the client is to go: it is still there, and can be told.
    pub(crate) fn idled(&self) -> Option<Duration> {
        self.idled.get().copied()
    }

    /// Something has passed.
    pub(crate) fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

// === impl Inputs ===

impl Inputs {
    /// Inputs for what the client will send, and their other ends.
    pub(crate) fn new(
        stdin: bool,
        resize: bool,
    ) -> (Self, Option<Input>, Option<watch::Receiver<Option<TerminalSize>>>) {
        let (sender, input) = match stdin {
            true => {
                let (sender, receiver) = mpsc::channel(QUEUE);
                (Some(sender), Some(Input(receiver)))
            }
            false => (None, None),
        };
        let (sizes, told) = match resize {
            true => {
                let (sizes, told) = Sizes::new();
                (Some(sizes), Some(told))
            }
            false => (None, None),
        };
        (Self { stdin: sender, sizes }, input, told)
    }

    /// Waits while the process does not read. What nobody waits for is dropped.
    pub(crate) async fn deliver(&mut self, channel: Channel, bytes: Bytes, watch: &Watch) -> io::Result<()> {
        match channel {
            Channel::Stdin => {
                if let Some(stdin) = &self.stdin {
                    watch.send(stdin, bytes).await?;
                }
            }
            Channel::Resize => {
                if let Some(sizes) = &mut self.sizes {
                    sizes.feed(&bytes);
                }
            }
            Channel::Stdout | Channel::Stderr | Channel::Error => {}
        }
        Ok(())
    }

    /// The client writes no more there.
    pub(crate) fn end(&mut self, channel: Channel) {
        if channel == Channel::Stdin {
            self.stdin = None;
        }
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(connection: Arc<TcpStream>, nudge: Arc<dyn Nudge>) -> Self {
        Self { connection, nudge }
    }

    /// Queues bytes, and meanwhile looks whether their client is still there: it is not read while it waits.
    pub(crate) async fn send(&self, queue: &mpsc::Sender<Bytes>, bytes: Bytes) -> io::Result<()> {
        tokio::select! {
            biased;
            // Nobody takes it any more: it is dropped.
            _ = queue.send(bytes) => Ok(()),
            error = self.closed() => Err(error),
        }
    }

    async fn closed(&self) -> io::Error {
        loop {
            tokio::time::sleep(LOOK).await;
            match self.connection.ready(Interest::READABLE).await {
                Ok(ready) if ready.is_read_closed() => return io::ErrorKind::ConnectionReset.into(),
                Ok(_) => {}
                Err(error) => return error,
            }
            if let Err(error) = self.nudge.nudge().await {
                return error;
            }
        }
    }
}
