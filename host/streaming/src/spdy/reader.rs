use std::{
    collections::HashMap,
    io::{self, Cursor},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, ReadHalf},
    sync::mpsc,
};

use super::{
    Headers, Writer,
    frame::{FIN, HEADER, Head, Kind, UNIDIRECTIONAL, broken, number},
    headers::HeaderReader,
};
use crate::{
    connection::{Activity, QUEUE, Watch},
    wire::Wire,
};

/// Data is handed on in parts of this many bytes, however long a client's frames are.
const PART: usize = 64 * 1024;

/// Streams that a client may have open at once.
const MOST_STREAMS: usize = 512;

/// A stream that the client has opened.
pub(crate) struct Opened {
    pub(crate) stream: u32,
    pub(crate) headers: Headers,
    /// What the client sends on it, until it ends it. A reader that is dropped drops what comes.
    pub(crate) data: mpsc::Receiver<Bytes>,
}

/// The reading side of a connection.
pub(crate) struct Reader {
    /// What had been read before the upgrade, then the connection.
    from: tokio::io::Chain<Cursor<Bytes>, ReadHalf<Wire>>,
    watch: Watch,
    writer: Writer,
    activity: Activity,
    headers: HeaderReader,
    /// Those that the client has not ended, by number.
    streams: HashMap<u32, mpsc::Sender<Bytes>>,
    opened: mpsc::Sender<Opened>,
}

// === impl Reader ===

impl Reader {
    /// What is opened comes out of the channel.
    pub(crate) fn new(
        before: Bytes,
        connection: ReadHalf<Wire>,
        watch: Watch,
        writer: Writer,
        activity: Activity,
    ) -> (Self, mpsc::Receiver<Opened>) {
        let (opened, streams) = mpsc::channel(8);
        let reader = Self {
            from: Cursor::new(before).chain(connection),
            watch,
            writer,
            activity,
            headers: HeaderReader::new(),
            streams: HashMap::new(),
            opened,
        };
        (reader, streams)
    }

    /// Until the client closes the connection, or breaks the protocol; then it counts as gone.
    pub(crate) async fn run(mut self) {
        let gone = self.activity.gone.clone();
        let read = async {
            while let Some(head) = self.head().await? {
                self.frame(head).await?;
            }
            io::Result::Ok(())
        };
        tokio::select! {
            read = read => {
                if let Err(error) = read {
                    tracing::debug!(%error, "a streaming client's connection broke");
                }
            }
            () = gone.cancelled() => {}
        }
        gone.cancel();
    }

    async fn head(&mut self) -> io::Result<Option<Head>> {
        let mut bytes = [0; HEADER];
        if self.from.read(&mut bytes[..1]).await? == 0 {
            return Ok(None);
        }
        self.from.read_exact(&mut bytes[1..]).await?;
        Head::parse(bytes).map(Some)
    }

    async fn frame(&mut self, head: Head) -> io::Result<()> {
        match head {
            Head::Data { stream, fin, length } => self.data(stream, fin, length).await,
            Head::Control { kind, flags, length } => {
                let mut payload = vec![0; length];
                self.from.read_exact(&mut payload).await?;
                self.control(kind, flags, &payload).await
            }
        }
    }

    async fn data(&mut self, stream: u32, fin: bool, mut length: usize) -> io::Result<()> {
        while length > 0 {
            let mut part = BytesMut::with_capacity(length.min(PART));
            let room = length.min(PART);
            let count = read_some(&mut self.from, &mut part, room).await?;
            length -= count;
            self.activity.touch();
            if let Some(data) = self.streams.get(&stream) {
                self.watch.send(data, part.freeze()).await?;
            }
        }
        if fin {
            self.streams.remove(&stream);
        }
        Ok(())
    }

    async fn control(&mut self, kind: Kind, flags: u8, payload: &[u8]) -> io::Result<()> {
        match kind {
            Kind::SynStream => self.open(flags, payload).await,
            // The compression of headers goes on through these, too.
            Kind::SynReply | Kind::Headers => self.headers.read(payload.get(4..).unwrap_or_default()).map(drop),
            Kind::RstStream => {
                self.streams.remove(&number(payload, 0)?);
                Ok(())
            }
            // The client's own have odd numbers; those that answer ours, of which there are none, even ones.
            Kind::Ping => match number(payload, 0)? {
                id if id % 2 == 1 => self.writer.pong(id).await,
                _ => Ok(()),
            },
            Kind::Settings | Kind::GoAway | Kind::WindowUpdate | Kind::Other(_) => Ok(()),
        }
    }

    async fn open(&mut self, flags: u8, payload: &[u8]) -> io::Result<()> {
        let stream = number(payload, 0)?;
        let headers = self.headers.read(payload.get(10..).unwrap_or_default())?;
        if stream % 2 == 0 || self.streams.contains_key(&stream) {
            return Err(broken(format!("stream {stream} is opened twice, or is ours")));
        }
        if self.streams.len() >= MOST_STREAMS {
            // What nobody reads any more takes no place: a connection lasts as long as its `kubectl port-forward`.
            self.streams.retain(|_, data| !data.is_closed());
        }
        if self.streams.len() >= MOST_STREAMS {
            return self.writer.refuse(stream).await;
        }
        let (sender, data) = mpsc::channel(QUEUE);
        if self.opened.send(Opened { stream, headers, data }).await.is_err() {
            return self.writer.refuse(stream).await;
        }
        if flags & FIN == 0 {
            self.streams.insert(stream, sender);
        }
        if flags & UNIDIRECTIONAL == 0 {
            self.writer.reply(stream).await?;
        }
        Ok(())
    }
}

async fn read_some(from: &mut (impl AsyncRead + Unpin), part: &mut BytesMut, room: usize) -> io::Result<usize> {
    match from.take(room as u64).read_buf(part).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}
