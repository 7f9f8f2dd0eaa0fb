use std::io;

use bytes::Bytes;
use futures::{StreamExt as _, stream::SplitStream};

use super::{CLOSE, Said, Socket, channel, decoded};
use crate::{
    connection::{Activity, Inputs, Watch},
    protocol::{Codec, Version},
};

/// Until the client closes the connection, or breaks the protocol; then it counts as gone.
pub(super) async fn read(
    mut from: SplitStream<Socket>,
    mut inputs: Inputs,
    watch: Watch,
    version: Version,
    codec: Codec,
    activity: Activity,
) {
    let gone = activity.gone.clone();
    let reading = async {
        while let Some(message) = from.next().await {
            match decoded(message.map_err(io::Error::other)?, codec)? {
                Said::Bytes(bytes) => deliver(&mut inputs, bytes, &watch, version, &activity).await?,
                Said::End => break,
                Said::Nothing => {}
            }
        }
        io::Result::Ok(())
    };
    tokio::select! {
        read = reading => {
            if let Err(error) = read {
                tracing::debug!(%error, "a streaming client's connection broke");
            }
        }
        () = gone.cancelled() => {}
    }
    gone.cancel();
}

async fn deliver(
    inputs: &mut Inputs,
    message: Bytes,
    watch: &Watch,
    version: Version,
    activity: &Activity,
) -> io::Result<()> {
    activity.touch();
    match message[..] {
        [CLOSE, number, ..] if version >= Version::V5 => {
            if let Some(closed) = channel(number) {
                inputs.end(closed);
            }
            Ok(())
        }
        [number, _, ..] => match channel(number) {
            Some(channel) => inputs.deliver(channel, message.slice(1..), watch).await,
            None => Ok(()),
        },
        [_] | [] => Ok(()),
    }
}
