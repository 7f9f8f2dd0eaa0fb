use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::task::JoinHandle;
use wharf_error::{Kind, Result, ResultExt as _};

use super::{reader::read, socket, writer::Writer};
use crate::{
    Output, Streams,
    connection::{Activity, Channel, Inputs, Watch},
    protocol::{Codec, Version},
    wire::Wire,
};

/// A connection with the channels of a remote command.
pub(crate) struct Session {
    pub(crate) streams: Streams,
    pub(crate) writer: Writer,
    pub(crate) reader: JoinHandle<()>,
}

pub(crate) async fn session(
    before: Bytes,
    wire: Wire,
    activity: Activity,
    wanted: &[Channel],
    version: Version,
    codec: Codec,
) -> Result<Session> {
    let connection = wire.socket();
    let (sink, stream) = socket(before, wire).await.split();
    let writer = Writer::new(sink, codec, activity.clone());
    let watch = Watch::new(connection, Arc::new(writer.clone()));
    let wants = |channel| wanted.contains(&channel);
    let (inputs, stdin, resize) = Inputs::new(wants(Channel::Stdin), wants(Channel::Resize));
    let reader = tokio::spawn(read(stream, inputs, watch, version, codec, activity.clone()));
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
