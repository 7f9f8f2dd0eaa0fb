use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe::{Receiver, Sender},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use wharf_error::Result;
use wharf_streaming::{Input, Output, TerminalSize};

use crate::{exec::Pipes, shim::Shim};

/// What is moved at once, bytes.
const CHUNK: usize = 256 * 1024;

/// After its process has ended, a stream that is silent for so long is over, although something holds it open.
const SILENCE: Duration = Duration::from_secs(2);

/// Our ends of a process's pipes.
pub(crate) struct Ends {
    pub(crate) stdin: Option<Sender>,
    pub(crate) stdout: Option<Receiver>,
    pub(crate) stderr: Option<Receiver>,
}

/// Output on its way to a client.
pub(crate) struct Outputs {
    exited: CancellationToken,
    gone: CancellationToken,
}

// === impl Ends ===

impl Ends {
    pub(crate) fn open(pipes: &Pipes) -> Result<Self> {
        Ok(Self { stdin: pipes.stdin.open_to_write()?, stdout: pipes.stdout.open()?, stderr: pipes.stderr.open()? })
    }
}

// === impl Outputs ===

impl Outputs {
    /// `gone` is cancelled when the client does not take what it is sent.
    pub(crate) fn new(gone: CancellationToken) -> Self {
        Self { exited: CancellationToken::new(), gone }
    }

    /// The process has ended: from now on silence is the end.
    pub(crate) fn exited(&self) {
        self.exited.cancel();
    }

    /// Copies until both pipes have ended. A slow client makes the process wait.
    pub(crate) async fn copy_both(
        &self,
        stdout: (Option<Receiver>, Option<Output>),
        stderr: (Option<Receiver>, Option<Output>),
    ) {
        futures::join!(self.copy(stdout), self.copy(stderr));
    }

    async fn copy(&self, (pipe, output): (Option<Receiver>, Option<Output>)) {
        let (Some(mut pipe), Some(mut output)) = (pipe, output) else { return };
        let mut chunk = vec![0u8; CHUNK];
        loop {
            let read = tokio::select! {
                read = pipe.read(&mut chunk) => read,
                () = self.silent() => return,
            };
            match read {
                Ok(0) => return,
                Ok(count) => {
                    if let Err(error) = output.write(&chunk[..count]).await {
                        tracing::debug!(%error, "a client takes no output");
                        return self.gone.cancel();
                    }
                }
                Err(error) => return tracing::warn!(%error, "read the output of a process"),
            }
        }
    }

    async fn silent(&self) {
        self.exited.cancelled().await;
        tokio::time::sleep(SILENCE).await;
    }
}

/// Copies a client's input until it writes no more, or the process reads no more.
pub(crate) async fn feed(mut from: Input, mut to: Sender) {
    while let Some(bytes) = from.next().await {
        if let Err(error) = to.write_all(&bytes).await {
            return tracing::debug!(%error, "a process takes no input");
        }
    }
}

/// Tells a terminal each new size; never ends.
pub(crate) async fn resize(
    shim: &Shim,
    container: &str,
    exec: &str,
    sizes: Option<watch::Receiver<Option<TerminalSize>>>,
) {
    if let Some(mut sizes) = sizes {
        loop {
            let size = *sizes.borrow_and_update();
            if let Some(TerminalSize { width, height }) = size
                && let Err(error) = shim.resize(container, exec, width, height).await
            {
                tracing::debug!(container, exec, %error, "resize a terminal");
            }
            if sizes.changed().await.is_err() {
                break;
            }
        }
    }
    std::future::pending().await
}
