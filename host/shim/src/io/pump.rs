//! Bytes between a terminal and FIFOs, on the event loop.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::{Errno, read, write},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::JoinHandle,
};
use wharf_error::{Result, ResultExt as _};

/// What moves at once, bytes.
const CHUNK: usize = 4096;

/// Has the event loop watch a descriptor. To be called inside the runtime.
pub fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, and one and the same, as long as it lives; the `AsyncFd` owns it.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}

/// Copies until one side ends. To be called inside the runtime.
pub fn spawn(from: OwnedFd, to: OwnedFd) -> Result<JoinHandle<()>> {
    let register = |fd: OwnedFd, interest| -> io::Result<AsyncFd<OwnedFd>> {
        fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        watch(fd, interest)
    };
    let from = register(from, Interest::READABLE).step(|| "terminal: wait for its output".into())?;
    let to = register(to, Interest::WRITABLE).step(|| "terminal: wait for its reader".into())?;
    Ok(tokio::spawn(async move {
        if let Err(error) = copy(&from, &to).await {
            tracing::debug!(%error, "a terminal's stream broke");
        }
    }))
}

async fn copy(from: &AsyncFd<OwnedFd>, to: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match from.async_io(Interest::READABLE, |fd| Ok(read(fd, &mut chunk)?)).await {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            // The last slave of a terminal was closed.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut rest = &chunk[..count];
        while !rest.is_empty() {
            let written = to.async_io(Interest::WRITABLE, |fd| Ok(write(fd, rest)?)).await?;
            rest = &rest[written..];
        }
    }
}
