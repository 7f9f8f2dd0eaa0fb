use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};
use wharf_error::{Kind, Result, ResultExt as _};

use super::{LONGEST, reader::read, writer::Writer};
use crate::{
    Output, Streams,
    connection::{Activity, Channel, Inputs, Watch, second},
    protocol::Version,
};

/// A connection with the channels of a remote command.
pub(crate) struct Session {
    pub(crate) streams: Streams,
    pub(crate) writer: Writer,
    pub(crate) reader: JoinHandle<()>,
}

pub(crate) async fn session(
    before: Bytes,
    connection: TcpStream,
    activity: Activity,
    wanted: &[Channel],
    version: Version,
) -> Result<Session> {
    let second = second(&connection).step_as(Kind::Unavailable, || "streaming: set up the connection".into())?;
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let socket = WebSocketStream::from_partially_read(connection, before.to_vec(), Role::Server, Some(config)).await;
    let (sink, stream) = socket.split();
    let writer = Writer::new(sink, activity.clone());
    let watch = Watch::new(second, Arc::new(writer.clone()));
    let wants = |channel| wanted.contains(&channel);
    let (inputs, stdin, resize) = Inputs::new(wants(Channel::Stdin), wants(Channel::Resize));
    let reader = tokio::spawn(read(stream, inputs, watch, version, activity.clone()));
    let lowest = [Channel::Stdout, Channel::Stderr].into_iter().find(|channel| wants(*channel));
    let hello = writer.hello(lowest.unwrap_or(Channel::Error)).await;
    hello.step_as(Kind::Unavailable, || "streaming: greet the client".into())?;
    let output = |channel| wants(channel).then(|| Output { sink: Arc::new(writer.clone()), channel });
    let streams = Streams {
        stdin,
        stdout: output(Channel::Stdout),
        stderr: output(Channel::Stderr),
        resize,
        gone: activity.gone.clone(),
    };
    Ok(Session { streams, writer, reader })
}
