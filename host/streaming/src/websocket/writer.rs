use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt as _, stream::SplitSink};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{Socket, codec::encoded, number};
use crate::{
    connection::{Activity, Channel, Nudge, Sink},
    protocol::Codec,
};

/// The longest message that is sent, bytes.
const LONGEST: usize = 64 * 1024;

/// How often a client hears that we are there, although it may wait for its input to be taken and so gets no answer
/// to its own pings.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The writing side of a connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    half: Arc<Mutex<SplitSink<Socket, Message>>>,
    codec: Codec,
    activity: Activity,
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(half: SplitSink<Socket, Message>, codec: Codec, activity: Activity) -> Self {
        let writer = Self { half: Arc::new(Mutex::new(half)), codec, activity };
        tokio::spawn(writer.clone().heartbeat());
        writer
    }

    /// An empty message on a channel: the client learns that the conversation has begun.
    pub(super) async fn hello(&self, channel: Channel) -> io::Result<()> {
        self.put(encoded(number(channel), &[], self.codec)).await
    }

    /// Ends the conversation; the client closes the connection.
    pub(crate) async fn goodbye(&self) -> io::Result<()> {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.put(Message::Close(Some(frame))).await
    }

    /// Bytes on a channel by its number.
    pub(crate) async fn message(&self, channel: u8, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(LONGEST) {
            self.put(encoded(channel, part, self.codec)).await?;
            self.activity.touch();
        }
        Ok(())
    }

    async fn put(&self, message: Message) -> io::Result<()> {
        self.half.lock().await.send(message).await.map_err(io::Error::other)
    }

    async fn heartbeat(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = self.activity.gone.cancelled() => return,
            }
            if self.put(Message::Pong(Bytes::new())).await.is_err() {
                return;
            }
        }
    }
}

#[async_trait]
impl Nudge for Writer {
    async fn nudge(&self) -> io::Result<()> {
        self.put(Message::Pong(Bytes::new())).await
    }
}

#[async_trait]
impl Sink for Writer {
    async fn send(&self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        self.message(number(channel), bytes).await
    }

    /// There is no word for it from this side: v5's signal is the client's. The end of the conversation is the end.
    async fn close(&self, _: Channel) -> io::Result<()> {
        Ok(())
    }
}
