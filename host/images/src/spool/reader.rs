use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;
use wharf_error::Error;

use super::{Spool, filled::Filled};
use crate::scratch::cancelled;

/// A blob from its first byte to its last, read by a blocking thread of the runtime as the bytes come.
pub(crate) struct SpoolReader {
    spool: Arc<Spool>,
    filled: watch::Receiver<Filled>,
    at: u64,
    stop: Stop,
}

/// Ends reading: with an error, or because nobody wants it any more.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    why: Arc<Mutex<Option<Error>>>,
}

// === impl SpoolReader ===

impl SpoolReader {
    pub fn new(spool: Arc<Spool>, stop: Stop) -> Self {
        Self { filled: spool.filled.subscribe(), spool, at: 0, stop }
    }

    /// Waits until the next byte is here, and answers how many are.
    fn ready(&mut self) -> io::Result<u64> {
        loop {
            let ready = self.filled.borrow_and_update().ready();
            if self.stop.token.is_cancelled() {
                return Err(self.stop.error());
            }
            if ready > self.at || self.at == self.spool.descriptor.size() {
                return Ok(ready);
            }
            let (filled, token) = (&mut self.filled, &self.stop.token);
            Handle::current().block_on(async {
                tokio::select! {
                    () = token.cancelled() => {}
                    // The sender is the spool's, and we hold it.
                    _ = filled.changed() => {}
                }
            });
        }
    }
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.ready()?.saturating_sub(self.at);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.spool.read_at(&mut buffer[..most], self.at)?;
        if count == 0 {
            return Err(io::Error::other("content: a download's file was cut off"));
        }
        self.at += count as u64;
        Ok(count)
    }
}

// === impl Stop ===

impl Stop {
    /// Ends with another one's token too.
    pub fn child_of(token: &CancellationToken) -> Self {
        Self { token: token.child_token(), why: Arc::default() }
    }

    /// The bytes will not come.
    pub fn because(&self, error: Error) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.token.cancel();
    }

    fn error(&self) -> io::Error {
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).take();
        io::Error::other(why.unwrap_or_else(cancelled))
    }
}
