use std::{
    io,
    os::fd::AsFd as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A client's connection, whatever is around its bytes: nothing, TLS, the messages of a WebSocket. Whoever writes
/// flushes, for what is around them may keep them back.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    socket: Arc<TcpStream>,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

// === impl Wire ===

impl Wire {
    pub(crate) fn plain(connection: TcpStream) -> io::Result<Self> {
        let socket = second(&connection)?;
        Ok(Self { stream: Box::new(connection), socket })
    }

    /// Over the same socket, with something else around the bytes.
    pub(crate) fn over(socket: Arc<TcpStream>, stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), socket }
    }

    /// The socket once more, to be waited for by itself.
    pub(crate) fn socket(&self) -> Arc<TcpStream> {
        self.socket.clone()
    }
}

/// The same connection once more.
pub(crate) fn second(connection: &TcpStream) -> io::Result<Arc<TcpStream>> {
    let second = std::net::TcpStream::from(connection.as_fd().try_clone_to_owned()?);
    TcpStream::from_std(second).map(Arc::new)
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
