//! Ports of a pod over one SPDY connection: two streams a connection to a port, one for bytes, one for its error.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    PortForwardRequest,
    connection::{Activity, Watch, second},
    server::Inner,
    spdy::{Opened, Reader, Writer},
};

/// Pairs of streams of which only one has come.
const MOST_WAITING: usize = 128;

/// What is copied at once, bytes.
const CHUNK: usize = 64 * 1024;

/// Serves until the client closes the connection, or nothing has passed for the idle timeout.
pub(crate) async fn serve(inner: &Inner, request: PortForwardRequest, before: Bytes, connection: TcpStream) {
    let activity = Activity::start(inner.config.idle_timeout);
    let second = match second(&connection) {
        Ok(second) => second,
        Err(error) => return tracing::warn!(%error, "port-forward: set up the connection"),
    };
    let (read, write) = connection.into_split();
    let writer = Writer::new(write, activity.clone());
    let watch = Watch::new(second, Arc::new(writer.clone()));
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
    async fn forward(self, handler: &dyn crate::Handler, request: &PortForwardRequest) {
        let Self { error, data, writer } = self;
        let done = Self::copy(data, &writer, handler, request).await;
        let told = async {
            if let Err(failure) = &done {
                writer.data(error.stream, failure.to_string().as_bytes()).await?;
            }
            writer.fin(error.stream).await
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "port-forward: a client did not hear of the end");
        }
    }

    async fn copy(
        data: Opened,
        writer: &Writer,
        handler: &dyn crate::Handler,
        request: &PortForwardRequest,
    ) -> Result<()> {
        let Opened { stream, headers, data: mut input } = data;
        let port = port(headers.get("port"), request)?;
        let connection = handler.connect(&request.pod, port).await?;
        let (mut from, mut to) = connection.into_split();
        let what = || format!("pod sandbox {}: port {port}", request.pod);
        let sending = async {
            while let Some(bytes) = input.recv().await {
                to.write_all(&bytes).await?;
            }
            to.shutdown().await
        };
        let receiving = async {
            let mut chunk = vec![0; CHUNK];
            loop {
                match from.read(&mut chunk).await? {
                    0 => return writer.fin(stream).await,
                    count => writer.data(stream, &chunk[..count]).await?,
                }
            }
        };
        let received = async {
            tokio::pin!(sending);
            tokio::pin!(receiving);
            // The pod's end is the end; the client's is only its last word.
            tokio::select! {
                received = &mut receiving => received,
                sent = &mut sending => match sent {
                    Ok(()) => receiving.await,
                    Err(error) => Err(error),
                },
            }
        };
        received.await.step_as(Kind::Unavailable, what)
    }
}

fn port(named: Option<&String>, request: &PortForwardRequest) -> Result<u16> {
    let text = named.map(String::as_str).unwrap_or_default();
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| Error::invalid(format!("port-forward: {text:?} is not a port")))?;
    if request.ports.is_empty() || request.ports.contains(&port) {
        return Ok(port);
    }
    Err(Error::new(Kind::PermissionDenied, format!("port-forward: port {port} was not asked for")))
}
