use std::{
    collections::HashMap,
    io::{self, IoSlice},
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncWriteExt as _, WriteHalf},
    sync::Mutex,
};

use super::{
    frame::{FIN, control, data},
    headers::no_headers,
};
use crate::{
    connection::{Activity, Channel, Nudge, Sink},
    wire::Wire,
};

/// The longest data frame that is sent, bytes: between two of a fast stream, others have their turn.
const LONGEST: usize = 64 * 1024;

/// The writing side of a connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    half: Arc<Mutex<Half>>,
    /// Which stream is which channel.
    channels: Arc<RwLock<HashMap<Channel, u32>>>,
    activity: Activity,
}

struct Half {
    connection: WriteHalf<Wire>,
    replied: bool,
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(connection: WriteHalf<Wire>, activity: Activity) -> Self {
        let half = Half { connection, replied: false };
        Self { half: Arc::new(Mutex::new(half)), channels: Arc::default(), activity }
    }

    pub(crate) fn name(&self, channel: Channel, stream: u32) {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(channel, stream);
    }

    /// Answers the opening of a stream.
    pub(crate) async fn reply(&self, stream: u32) -> io::Result<()> {
        let mut half = self.half.lock().await;
        let mut payload = stream.to_be_bytes().to_vec();
        payload.extend_from_slice(&no_headers(!half.replied));
        half.replied = true;
        half.put(&control(2, 0, &payload)).await
    }

    /// Refuses a stream.
    pub(crate) async fn refuse(&self, stream: u32) -> io::Result<()> {
        const REFUSED_STREAM: u32 = 3;
        let payload = [stream.to_be_bytes(), REFUSED_STREAM.to_be_bytes()].concat();
        self.half.lock().await.put(&control(3, 0, &payload)).await
    }

    pub(crate) async fn pong(&self, id: u32) -> io::Result<()> {
        self.half.lock().await.put(&control(6, 0, &id.to_be_bytes())).await
    }

    pub(crate) async fn data(&self, stream: u32, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(LONGEST) {
            let head = data(stream, 0, part.len());
            let mut slices = [IoSlice::new(&head), IoSlice::new(part)];
            let mut rest = &mut slices[..];
            let mut half = self.half.lock().await;
            while !rest.is_empty() {
                let written = half.connection.write_vectored(rest).await?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                IoSlice::advance_slices(&mut rest, written);
            }
            half.connection.flush().await?;
            self.activity.touch();
        }
        Ok(())
    }

    /// No more comes on that stream from us.
    pub(crate) async fn fin(&self, stream: u32) -> io::Result<()> {
        self.half.lock().await.put(&data(stream, FIN, 0)).await
    }

    /// Nothing more comes from us at all.
    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        self.half.lock().await.connection.shutdown().await
    }

    fn stream(&self, channel: Channel) -> io::Result<u32> {
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        channels.get(&channel).copied().ok_or_else(|| io::Error::other(format!("no stream {channel:?}")))
    }
}

// === impl Half ===

impl Half {
    async fn put(&mut self, frame: &[u8]) -> io::Result<()> {
        self.connection.write_all(frame).await?;
        self.connection.flush().await
    }
}

#[async_trait]
impl Nudge for Writer {
    /// A ping of ours, whose answer nobody waits for.
    async fn nudge(&self) -> io::Result<()> {
        const OURS: u32 = 2;
        self.pong(OURS).await
    }
}

#[async_trait]
impl Sink for Writer {
    async fn send(&self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        self.data(self.stream(channel)?, bytes).await
    }

    async fn close(&self, channel: Channel) -> io::Result<()> {
        self.fin(self.stream(channel)?).await
    }
}
