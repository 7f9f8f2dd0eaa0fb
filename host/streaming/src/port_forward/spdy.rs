//! Over SPDY: two streams a connection to a port, one for bytes, one for its error.

use std::{collections::HashMap, io, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use wharf_error::Result;

use super::{
    copy::{Client, copy},
    port,
};
use crate::{
    Handler, PortForwardRequest,
    connection::{Activity, Watch},
    server::Inner,
    spdy::{Opened, Reader, Writer},
    wire::Wire,
};

/// Pairs of streams of which only one has come.
const MOST_WAITING: usize = 128;

/// Serves until the client closes the connection, or nothing has passed for the idle timeout.
pub(crate) async fn serve(inner: &Inner, request: PortForwardRequest, before: Bytes, wire: Wire) {
    let activity = Activity::start(inner.config.idle_timeout);
    let connection = wire.socket();
    let (read, write) = tokio::io::split(wire);
    let writer = Writer::new(write, activity.clone());
    let watch = Watch::new(connection, Arc::new(writer.clone()));
    let (reader, mut opened) = Reader::new(before, read, watch, writer.clone(), activity.clone());
    let reader = tokio::spawn(reader.run());
    let mut waiting: HashMap<String, (Option<Opened>, Option<Opened>)> = HashMap::new();
    while let Some(stream) = opened.recv().await {
        let id = stream.headers.get("requestid").or(stream.headers.get("port")).cloned().unwrap_or_default();
        let pair = waiting.entry(id.clone()).or_default();
        match stream.headers.get("streamtype").map(String::as_str) {
            Some("error") => pair.0 = Some(stream),
            Some("data") => pair.1 = Some(stream),
            _ => continue,
        }
        if let (Some(_), Some(_)) = pair {
            if let Some((Some(error), Some(data))) = waiting.remove(&id) {
                let (handler, request, writer, gone) =
                    (inner.handler.clone(), request.clone(), writer.clone(), activity.gone.clone());
                tokio::spawn(async move {
                    let pair = Pair { error, data, writer };
                    tokio::select! {
                        () = pair.forward(&*handler, &request) => {}
                        () = gone.cancelled() => {}
                    }
                });
            }
        } else if waiting.len() > MOST_WAITING {
            tracing::info!("port-forward: a client opens streams without their pairs");
            break;
        }
    }
    activity.gone.cancel();
    let _ = reader.await;
    let _ = writer.shutdown().await;
}

struct Pair {
    error: Opened,
    data: Opened,
    writer: Writer,
}

// === impl Pair ===

impl Pair {
    async fn forward(self, handler: &dyn Handler, request: &PortForwardRequest) {
        let Self { error, data, writer } = self;
        let stream = data.stream;
        let done = Self::copy(data, &writer, handler, request).await;
        let told = async {
            if let Err(failure) = &done {
                writer.data(error.stream, failure.to_string().as_bytes()).await?;
                // Or the client would wait for bytes before it looks at the error.
                writer.fin(stream).await?;
            }
            writer.fin(error.stream).await
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "port-forward: a client did not hear of the end");
        }
    }

    async fn copy(data: Opened, writer: &Writer, handler: &dyn Handler, request: &PortForwardRequest) -> Result<()> {
        let Opened { stream, headers, data: input } = data;
        let port = port(headers.get("port").map(String::as_str).unwrap_or_default(), request)?;
        copy(&Stream { writer, stream }, input, handler, &request.pod, port).await
    }
}

/// One stream of the connection.
struct Stream<'a> {
    writer: &'a Writer,
    stream: u32,
}

#[async_trait]
impl Client for Stream<'_> {
    async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.writer.data(self.stream, bytes).await
    }

    async fn end(&self) -> io::Result<()> {
        self.writer.fin(self.stream).await
    }
}
