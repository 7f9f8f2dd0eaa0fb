use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinHandle};
use wharf_error::{Error, Kind, Result};

use super::{Opened, Reader, Writer};
use crate::{
    Input, Output, Streams,
    connection::{Activity, Channel, Watch},
    size::Sizes,
    wire::Wire,
};

/// A connection whose client has opened the streams of a remote command.
pub(crate) struct Session {
    pub(crate) streams: Streams,
    pub(crate) writer: Writer,
    pub(crate) reader: JoinHandle<()>,
}

/// Waits for the streams that are wanted, and for the one for errors.
pub(crate) async fn session(
    before: Bytes,
    wire: Wire,
    activity: Activity,
    wanted: &[Channel],
    within: Duration,
) -> Result<Session> {
    let connection = wire.socket();
    let (read, write) = tokio::io::split(wire);
    let writer = Writer::new(write, activity.clone());
    let watch = Watch::new(connection, Arc::new(writer.clone()));
    let (reader, mut opened) = Reader::new(before, read, watch, writer.clone(), activity.clone());
    let reader = tokio::spawn(reader.run());
    let mut there = HashMap::new();
    let complete = async {
        while !wanted.iter().all(|channel| there.contains_key(channel)) {
            let Some(Opened { stream, headers, data }) = opened.recv().await else { return false };
            // What else a client opens is dropped: it can write to it, and nothing comes of it.
            if let Some(channel) = channel(headers.get("streamtype")) {
                writer.name(channel, stream);
                there.insert(channel, data);
            }
        }
        true
    };
    match tokio::time::timeout(within, complete).await {
        Ok(true) => {}
        Ok(false) => return Err(Error::new(Kind::Cancelled, "streaming: the client has gone")),
        Err(_) => {
            activity.gone.cancel();
            let what = format!("streaming: the client has not opened its streams within {within:?}");
            return Err(Error::new(Kind::DeadlineExceeded, what));
        }
    }
    let output = |channel| wanted.contains(&channel).then(|| Output { sink: Arc::new(writer.clone()), channel });
    let streams = Streams {
        stdin: there.remove(&Channel::Stdin).map(Input),
        stdout: output(Channel::Stdout),
        stderr: output(Channel::Stderr),
        resize: there.remove(&Channel::Resize).map(sizes),
        gone: activity.gone.clone(),
    };
    Ok(Session { streams, writer, reader })
}

fn channel(name: Option<&String>) -> Option<Channel> {
    match name?.as_str() {
        "stdin" => Some(Channel::Stdin),
        "stdout" => Some(Channel::Stdout),
        "stderr" => Some(Channel::Stderr),
        "error" => Some(Channel::Error),
        "resize" => Some(Channel::Resize),
        _ => None,
    }
}

fn sizes(mut data: mpsc::Receiver<Bytes>) -> tokio::sync::watch::Receiver<Option<crate::TerminalSize>> {
    let (mut sizes, told) = Sizes::new();
    tokio::spawn(async move {
        while let Some(bytes) = data.recv().await {
            sizes.feed(&bytes);
        }
    });
    told
}
