use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::filter::Filter;

/// How much is read at once while requests are looked at.
const CHUNK: usize = 8 << 10;

/// A connection whose client may name a socket's path as its authority. What is written to it is not looked at.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    filter: Filter,
    /// What has passed the filter and was not read yet, from `read` on.
    passed: Vec<u8>,
    read: usize,
}

// === impl Connection ===

impl<S> Connection<S> {
    /// Wraps a connection of which nothing was read.
    pub fn new(stream: S) -> Self {
        Self { stream, filter: Filter::default(), passed: Vec::new(), read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let left = this.passed.get(this.read..).unwrap_or_default();
            if !left.is_empty() {
                let some = left.len().min(buf.remaining());
                buf.put_slice(left.get(..some).unwrap_or_default());
                this.read = this.read.saturating_add(some);
                return Poll::Ready(Ok(()));
            }
            if this.filter.is_open() {
                this.passed = Vec::new();
                this.read = 0;
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            this.passed.clear();
            this.read = 0;
            let mut space = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                // A request that was cut off is of no use to anybody.
                return Poll::Ready(Ok(()));
            }
            this.filter.pass(chunk.filled(), &mut this.passed)?;
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: Connected> Connected for Connection<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}
