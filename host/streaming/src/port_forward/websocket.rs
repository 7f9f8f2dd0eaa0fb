//! Over WebSocket: two channels a port, one for bytes, one for its error. Both begin with the port's number.

use std::{io, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, future::join_all, stream::SplitStream};
use tokio::sync::mpsc;
use wharf_error::{Error, Result};

use super::{
    copy::{Client, copy},
    port,
};
use crate::{
    Handler, PortForwardRequest,
    connection::{Activity, QUEUE, Watch},
    protocol::Codec,
    server::Inner,
    websocket::{Said, Socket, Writer, decoded, socket},
    wire::Wire,
};

/// A channel's number is one byte, and 255 is no channel.
const MOST_PORTS: usize = 127;

/// As text it is one character from `0` on, of which there are 80.
const MOST_PORTS_AS_TEXT: usize = 40;

/// The ports that a URL names, or those that CRI was told.
///
/// # Errors
///
/// `InvalidArgument` where there is none, or too many; `PermissionDenied` for one that CRI was not told.
pub(crate) fn ports(query: &str, request: &PortForwardRequest, codec: Codec) -> Result<Vec<u16>> {
    let most = match codec {
        Codec::Binary => MOST_PORTS,
        Codec::Base64 => MOST_PORTS_AS_TEXT,
    };
    let named = query.split('&').filter_map(|pair| pair.strip_prefix("port="));
    let mut ports = Vec::new();
    for text in named.flat_map(|list| list.split([',']).flat_map(|part| part.split("%2C"))) {
        ports.push(port(text, request)?);
    }
    if ports.is_empty() {
        ports.clone_from(&request.ports);
    }
    match ports.len() {
        0 => {
            Err(Error::invalid("port-forward: no port is named")
                .hint("name it in the request, or by ?port= in the URL"))
        }
        many if many <= most => Ok(ports),
        more => Err(Error::invalid(format!("port-forward: {more} ports, more than {most}"))),
    }
}

/// Serves the request's ports until the pod has ended the connections to all ports, the client closes, or nothing has passed for the idle
/// timeout.
pub(crate) async fn serve(inner: &Inner, request: PortForwardRequest, codec: Codec, before: Bytes, wire: Wire) {
    let activity = Activity::start(inner.config.idle_timeout);
    let connection = wire.socket();
    let (sink, stream) = socket(before, wire).await.split();
    let writer = Writer::new(sink, codec, activity.clone());
    let watch = Watch::new(connection, Arc::new(writer.clone()));
    let (senders, inputs): (Vec<_>, Vec<_>) = request.ports.iter().map(|_| mpsc::channel(QUEUE)).unzip();
    let reader = tokio::spawn(read(stream, senders, watch, codec, activity.clone()));
    let forwards = request.ports.iter().zip(inputs).zip((0..).step_by(2)).map(|((port, input), channel)| {
        forward(&*inner.handler, &request.pod, *port, input, Port { writer: &writer, data: channel })
    });
    tokio::select! {
        _ = join_all(forwards) => {
            if let Err(error) = writer.goodbye().await {
                tracing::debug!(%error, "port-forward: a client did not hear of the end");
            }
        }
        () = activity.gone.cancelled() => {}
    }
    activity.gone.cancel();
    let _ = reader.await;
}

/// One port; its channels are `data` and the one after.
struct Port<'a> {
    writer: &'a Writer,
    data: u8,
}

async fn forward(handler: &dyn Handler, pod: &str, port: u16, input: mpsc::Receiver<Bytes>, client: Port<'_>) {
    let told = async {
        for channel in [client.data, client.data + 1] {
            client.writer.message(channel, &port.to_le_bytes()).await?;
        }
        if let Err(failure) = copy(&client, input, handler, pod, port).await {
            client.writer.message(client.data + 1, failure.to_string().as_bytes()).await?;
        }
        io::Result::Ok(())
    };
    if let Err(error) = told.await {
        tracing::debug!(%error, port, "port-forward: a client did not hear of the end");
    }
}

#[async_trait]
impl Client for Port<'_> {
    async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.writer.message(self.data, bytes).await
    }

    /// There is no word for it: the end of the conversation is the end.
    async fn end(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Until the client closes the connection; then it counts as gone.
async fn read(
    mut from: SplitStream<Socket>,
    ports: Vec<mpsc::Sender<Bytes>>,
    watch: Watch,
    codec: Codec,
    activity: Activity,
) {
    let gone = activity.gone.clone();
    let reading = async {
        while let Some(message) = from.next().await {
            match decoded(message.map_err(io::Error::other)?, codec)? {
                Said::Bytes(bytes) => {
                    activity.touch();
                    let Some(channel) = bytes.first().filter(|channel| **channel % 2 == 0) else { continue };
                    if let Some(port) = ports.get(usize::from(*channel / 2)).filter(|_| bytes.len() > 1) {
                        watch.send(port, bytes.slice(1..)).await?;
                    }
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_the_urls_or_the_requests() {
        let asked = |ports: &[u16]| PortForwardRequest { pod: "p".into(), ports: ports.into() };
        assert_eq!(ports("port=80,81&port=82&x=1", &asked(&[]), Codec::Binary).unwrap(), [80, 81, 82]);
        assert_eq!(ports("port=80%2C81", &asked(&[]), Codec::Binary).unwrap(), [80, 81]);
        assert_eq!(ports("", &asked(&[9]), Codec::Binary).unwrap(), [9]);
        for (query, allowed) in [("", &[][..]), ("port=0", &[]), ("port=x", &[]), ("port=", &[]), ("port=80", &[81])] {
            assert!(ports(query, &asked(allowed), Codec::Binary).is_err(), "{query}");
        }
        assert!(ports(&vec!["port=1"; 128].join("&"), &asked(&[]), Codec::Binary).is_err());
    }
}
