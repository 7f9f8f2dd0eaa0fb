use std::io;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, future};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use super::socket;
use crate::wire::Wire;

/// The bytes inside a WebSocket's binary messages, wherever they are cut, as a connection of their own.
pub(crate) async fn tunnel(before: Bytes, wire: Wire) -> Wire {
    let connection = wire.socket();
    let (sink, stream) = socket(before, wire).await.split();
    let bytes = stream.filter_map(|message| {
        future::ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            // Pings are answered by the library, and a close is followed by the end.
            Ok(_) | Err(Error::ConnectionClosed) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    let messages =
        sink.sink_map_err(io::Error::other).with(|bytes| future::ready(io::Result::Ok(Message::Binary(bytes))));
    Wire::over(connection, tokio::io::join(StreamReader::new(bytes), SinkWriter::new(CopyToBytes::new(messages))))
}
