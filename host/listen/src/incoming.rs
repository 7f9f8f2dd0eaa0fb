use std::io;

use tokio::net::{UnixListener, UnixStream};
use tokio_stream::{Stream, StreamExt as _, wrappers::UnixListenerStream};

use crate::Connection;

/// The connections of a socket, to be served by tonic.
pub fn incoming(listener: UnixListener) -> impl Stream<Item = io::Result<Connection<UnixStream>>> {
    UnixListenerStream::new(listener).map(|stream| stream.map(Connection::new))
}
