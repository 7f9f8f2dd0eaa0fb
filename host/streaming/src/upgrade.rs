//! From an HTTP request to the connection behind it.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    AttachRequest, ExecRequest, PortForwardRequest,
    exec::{self, Command},
    port_forward,
    protocol::{self, ACCEPTED, Codec, PORT_FORWARD, STREAM_PROTOCOL, Version},
    server::{Inner, Place},
    websocket,
    wire::Wire,
};

/// How long a client that was promised an upgrade may take to speak on.
const UPGRADED: Duration = Duration::from_secs(10);

/// What was asked by CRI, until its client comes.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Exec(ExecRequest),
    Attach(AttachRequest),
    PortForward(PortForwardRequest),
}

/// What the connection becomes.
#[derive(Clone, Copy)]
pub(crate) enum Transport {
    Spdy(Version),
    WebSocket(Version, Codec),
    /// SPDY inside of WebSocket messages.
    Tunnel,
}

type Answer = Response<Empty<Bytes>>;

/// Answers a request; where it is an upgrade, what follows runs in a task of its own.
pub(crate) fn answer(inner: Arc<Inner>, request: Request<Incoming>, place: Place) -> Answer {
    let (transport, mut answer) = match negotiate(request.headers(), request.uri().path()) {
        Ok(negotiated) => negotiated,
        Err(answer) => return answer,
    };
    let Some((kind, token)) = request.uri().path().trim_start_matches('/').split_once('/') else {
        return plain(StatusCode::NOT_FOUND);
    };
    let Some(mut asked) = inner.tokens.take(token) else { return plain(StatusCode::NOT_FOUND) };
    let query = request.uri().query().map(str::to_owned);
    let same = matches!(
        (&asked, kind),
        (Asked::Exec(_), "exec") | (Asked::Attach(_), "attach") | (Asked::PortForward(_), "portforward")
    );
    if !same {
        return plain(StatusCode::NOT_FOUND);
    }
    if let (Asked::PortForward(request), Transport::WebSocket(_, codec)) = (&mut asked, transport) {
        // Which ports it is about is said before, not stream by stream.
        match port_forward::ports(query.as_deref().unwrap_or_default(), request, codec) {
            Ok(ports) => request.ports = ports,
            Err(error) => {
                tracing::info!(%error, "a client did not get its ports");
                return plain(StatusCode::BAD_REQUEST);
            }
        }
    }
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    tokio::spawn(async move {
        match tokio::time::timeout(UPGRADED, hyper::upgrade::on(request)).await {
            Ok(Ok(upgraded)) => match upgraded.downcast::<TokioIo<Wire>>() {
                Ok(parts) => serve(inner, asked, transport, parts.read_buf, parts.io.into_inner()).await,
                Err(_) => tracing::error!("streaming: an upgraded connection is none of ours"),
            },
            Ok(Err(error)) => tracing::debug!(%error, "streaming: upgrade"),
            Err(_) => tracing::debug!("streaming: the client did not go on after its upgrade"),
        }
        drop(place);
    });
    answer
}

async fn serve(inner: Arc<Inner>, asked: Asked, transport: Transport, before: Bytes, wire: Wire) {
    match asked {
        Asked::Exec(request) => exec::serve(&inner, Command::Exec(request), transport, before, wire).await,
        Asked::Attach(request) => exec::serve(&inner, Command::Attach(request), transport, before, wire).await,
        Asked::PortForward(request) => match transport {
            Transport::Spdy(_) => port_forward::serve_spdy(&inner, request, before, wire).await,
            Transport::Tunnel => {
                let tunnel = websocket::tunnel(before, wire).await;
                port_forward::serve_spdy(&inner, request, Bytes::new(), tunnel).await;
            }
            Transport::WebSocket(_, codec) => port_forward::serve_websocket(&inner, request, codec, before, wire).await,
        },
    }
}

/// What is spoken, and the headers that say so. The token is not taken yet: a client may try again in other words.
fn negotiate(headers: &HeaderMap, path: &str) -> Result<(Transport, Answer), Answer> {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let forwards = path.starts_with("/portforward/");
    let mut answer = plain(StatusCode::SWITCHING_PROTOCOLS);
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if upgrade.eq_ignore_ascii_case("spdy/3.1") {
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
        let (name, version) = match forwards {
            true => protocol::port_forward(headers).then_some((PORT_FORWARD, Version::V1)),
            false => protocol::spdy(headers),
        }
        .ok_or_else(not_understood)?;
        if !name.is_empty() {
            answer.headers_mut().insert(STREAM_PROTOCOL, HeaderValue::from_static(name));
        }
        return Ok((Transport::Spdy(version), answer));
    }
    if upgrade.eq_ignore_ascii_case("websocket") {
        let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| plain(StatusCode::BAD_REQUEST))?;
        let chosen = match forwards {
            true => protocol::port_forward_websocket(headers).map(|name| (name, Version::V4)),
            false => protocol::websocket(headers),
        };
        let (name, version) = chosen.ok_or_else(|| plain(StatusCode::BAD_REQUEST))?;
        let accepted = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
        let accepted = accepted.map_err(|_| plain(StatusCode::BAD_REQUEST))?;
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
        if !name.is_empty() {
            answer.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
        let transport = match name {
            protocol::TUNNEL => Transport::Tunnel,
            name => Transport::WebSocket(version, protocol::codec(name)),
        };
        return Ok((transport, answer));
    }
    Err(plain(StatusCode::BAD_REQUEST))
}

fn not_understood() -> Answer {
    let mut answer = plain(StatusCode::FORBIDDEN);
    if let Ok(understood) = HeaderValue::from_str(&protocol::understood()) {
        answer.headers_mut().insert(ACCEPTED, understood);
    }
    answer
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}
