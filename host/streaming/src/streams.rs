use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    TerminalSize,
    connection::{Channel, Sink},
};

/// A client's side of a process. What it has not asked for is absent.
pub struct Streams {
    /// What it writes.
    pub stdin: Option<Input>,
    /// Where output goes; of a terminal, all of it.
    pub stdout: Option<Output>,
    /// Where errors go.
    pub stderr: Option<Output>,
    /// The newest size of its terminal.
    pub resize: Option<watch::Receiver<Option<TerminalSize>>>,
    /// Cancelled when the client has gone, or nothing has passed for the idle timeout.
    pub gone: CancellationToken,
}

/// What a client writes.
pub struct Input(pub(crate) mpsc::Receiver<Bytes>);

/// Where a client reads.
pub struct Output {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) channel: Channel,
}

// === impl Input ===

impl Input {
    /// The next bytes; none once the client writes no more. Cancelling this loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

// === impl Output ===

impl Output {
    /// Hands the bytes to the connection; waits while the client reads slowly. Once begun it is to be finished: a frame
    /// cut short would break the connection.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.send(self.channel, bytes).await
    }

    /// No more will come.
    pub async fn close(self) -> io::Result<()> {
        self.sink.close(self.channel).await
    }
}
