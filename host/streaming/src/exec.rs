//! Remote commands: exec and attach, whichever way their bytes come.

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::task::JoinHandle;
use wharf_error::{Error, Kind, Result};

use crate::{
    AttachRequest, ExecRequest, Streams,
    connection::{Activity, Channel, Sink},
    protocol::Version,
    server::Inner,
    spdy, status,
    upgrade::Transport,
    websocket,
    wire::Wire,
};

/// How long a client may take to read the rest and close; one that is slow has megabytes before it.
const FAREWELL: Duration = Duration::from_secs(300);

/// How long the last words may take to be on their way when the client reads nothing at all.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// A remote command.
pub(crate) enum Command {
    Exec(ExecRequest),
    Attach(AttachRequest),
}

/// The writing side at the end.
enum Writer {
    Spdy(spdy::Writer),
    WebSocket(websocket::Writer),
}

/// Serves one command on its connection, to the end of both.
pub(crate) async fn serve(inner: &Inner, command: Command, transport: Transport, before: Bytes, wire: Wire) {
    let activity = Activity::start(inner.config.idle_timeout);
    let version = match transport {
        Transport::Spdy(version) | Transport::WebSocket(version, _) => version,
        // Of port-forward alone.
        Transport::Tunnel => return,
    };
    // Over WebSocket each version has the channel of sizes.
    let sizes = version >= Version::V3 || matches!(transport, Transport::WebSocket(..));
    let wanted = command.channels(sizes);
    let session = match transport {
        Transport::Spdy(_) => {
            let within = inner.config.creation_timeout;
            let session = spdy::session(before, wire, activity.clone(), &wanted, within).await;
            session.map(|session| (session.streams, Writer::Spdy(session.writer), session.reader))
        }
        Transport::WebSocket(_, codec) => {
            let session = websocket::session(before, wire, activity.clone(), &wanted, version, codec).await;
            session.map(|session| (session.streams, Writer::WebSocket(session.writer), session.reader))
        }
        Transport::Tunnel => return,
    };
    match session {
        Ok((streams, writer, reader)) => {
            let mut result = command.run(inner, streams).await;
            let idled = activity.idled();
            if let Some(idle) = idled {
                let what = format!("nothing has passed for {idle:?}: the stream is closed");
                result = Err(Error::new(Kind::DeadlineExceeded, what));
            }
            if let Err(error) = &result {
                tracing::debug!(%error, "a remote command failed");
            }
            let said = tokio::time::timeout(LAST_WORDS, say(&writer, &result, &wanted, version));
            tokio::select! {
                said = said => if let Ok(Err(error)) = said {
                    tracing::debug!(%error, "a client did not hear of the end");
                },
                () = activity.gone.cancelled(), if idled.is_none() => {}
            }
            farewell(writer, reader).await;
        }
        Err(error) => tracing::info!(%error, "a client did not get its streams"),
    }
    activity.gone.cancel();
}

/// Ends the outputs, then tells how it ended: a client reads both before it closes.
async fn say(writer: &Writer, result: &Result<i32>, wanted: &[Channel], version: Version) -> io::Result<()> {
    let words = status::end(result, version >= Version::V4);
    let sink = writer.sink();
    for channel in [Channel::Stdout, Channel::Stderr] {
        if wanted.contains(&channel) {
            sink.close(channel).await?;
        }
    }
    sink.send(Channel::Error, &words).await?;
    sink.close(Channel::Error).await?;
    match writer {
        Writer::Spdy(_) => Ok(()),
        Writer::WebSocket(writer) => writer.goodbye().await,
    }
}

/// Lets the client close first: a connection closed with unread input is reset, and what is on its way is lost.
async fn farewell(writer: Writer, reader: JoinHandle<()>) {
    let abort = reader.abort_handle();
    if tokio::time::timeout(FAREWELL, reader).await.is_err() {
        abort.abort();
    }
    if let Writer::Spdy(writer) = writer {
        let _ = tokio::time::timeout(Duration::from_secs(1), writer.shutdown()).await;
    }
}

// === impl Command ===

impl Command {
    fn channels(&self, sizes: bool) -> Vec<Channel> {
        let (tty, stdin, stdout, stderr) = match self {
            Self::Exec(ExecRequest { tty, stdin, stdout, stderr, .. })
            | Self::Attach(AttachRequest { tty, stdin, stdout, stderr, .. }) => (*tty, *stdin, *stdout, *stderr),
        };
        let mut wanted = vec![Channel::Error];
        let mut want = |channel, condition| {
            if condition {
                wanted.push(channel);
            }
        };
        want(Channel::Stdin, stdin);
        want(Channel::Stdout, stdout);
        want(Channel::Stderr, stderr && !tty);
        want(Channel::Resize, tty && sizes);
        wanted
    }

    async fn run(self, inner: &Inner, streams: Streams) -> Result<i32> {
        match self {
            Self::Exec(request) => inner.handler.exec(request, streams).await,
            Self::Attach(request) => inner.handler.attach(request, streams).await.map(|()| 0),
        }
    }
}

// === impl Writer ===

impl Writer {
    fn sink(&self) -> &dyn Sink {
        match self {
            Self::Spdy(writer) => writer,
            Self::WebSocket(writer) => writer,
        }
    }
}
