//! The client's side of Kubernetes' remote command over WebSocket, `v5.channel.k8s.io`.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::{terminal, tls};
use crate::cli::out;

const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// How long a daemon that answered may take to open its streams.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is read at once, bytes.
const CHUNK: usize = 32 * 1024;

/// A connection to the daemon's streams, with TLS around it or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub(super) type Socket = WebSocketStream<Box<dyn Wire>>;

/// Where the daemon sends us.
pub(super) struct Target<'u> {
    /// Whether it speaks TLS there.
    pub(super) tls: bool,
    address: SocketAddr,
    path: &'u str,
}

// === impl Target ===

impl<'u> Target<'u> {
    pub(super) fn of(url: &'u str) -> Result<Self> {
        let target = url.split_once("://").and_then(|(scheme, rest)| {
            let (address, path) = rest.split_once('/')?;
            let tls = match scheme {
                "http" => false,
                "https" => true,
                _ => return None,
            };
            Some(Self { tls, address: address.parse().ok()?, path })
        });
        target.with_context(|| format!("the daemon sends us to {url}, where we do not know how to go"))
    }
}

/// Connects; `certificate` is what the daemon says that it shows there.
pub(super) async fn connect(target: &Target<'_>, tls: &tls::Flags, certificate: Vec<u8>) -> Result<Socket> {
    let opening = tokio::time::timeout(PATIENCE, open(target, tls, certificate)).await;
    opening.unwrap_or_else(|_| Err(anyhow!("its streams are not there after {PATIENCE:?}")))
}

async fn open(target: &Target<'_>, tls: &tls::Flags, certificate: Vec<u8>) -> Result<Socket> {
    let Target { address, path, .. } = target;
    let connection = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    connection.set_nodelay(true).context("set TCP_NODELAY")?;
    let wire: Box<dyn Wire> = match target.tls {
        false => Box::new(connection),
        true => Box::new(tls.secure(connection, *address, certificate).await?),
    };
    // What is around it is not the protocol's business.
    let mut request = format!("ws://{address}/{path}").into_client_request().context("ask for its streams")?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
    match client_async(request, wire).await {
        Ok((socket, _)) => Ok(socket),
        Err(error) if target.tls && !tls.has_certificate() => {
            Err(error).context("connect to its streams (it may want a certificate: --tls-cert and --tls-key)")
        }
        Err(error) => Err(error).context("connect to its streams"),
    }
}

/// Copies until the command has ended; its exit code.
pub(super) async fn run(socket: Socket, stdin: bool, tty: bool) -> Result<i32> {
    let (mut to, mut from) = socket.split();
    let (sender, mut messages) = mpsc::channel::<Message>(4);
    if stdin {
        tokio::spawn(input(sender.clone()));
    }
    if tty {
        tokio::spawn(sizes(sender.clone()));
    }
    let mut status = Vec::new();
    loop {
        tokio::select! {
            message = from.next() => match message {
                Some(Ok(Message::Binary(bytes))) => output(&bytes, &mut status)?,
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("read its streams"),
            },
            Some(message) = messages.recv() => to.send(message).await.context("write its input")?,
        }
    }
    drop(sender);
    ended(&status)
}

fn output(message: &Bytes, status: &mut Vec<u8>) -> Result<()> {
    let Some((channel, bytes)) = message.split_first() else { return Ok(()) };
    match *channel {
        STDOUT => out::stdout(bytes),
        STDERR => out::stderr(bytes),
        ERROR => {
            status.extend_from_slice(bytes);
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn input(to: mpsc::Sender<Message>) {
    let mut stdin = tokio::io::stdin();
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = stdin.read(&mut chunk).await {
        if to.send(message(STDIN, &chunk[..count])).await.is_err() {
            return;
        }
    }
    // Nobody takes it where the command has ended.
    let _ = to.send(message(CLOSE, &[STDIN])).await;
}

async fn sizes(to: mpsc::Sender<Message>) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    loop {
        if let Some((width, height)) = terminal::size() {
            let size = json!({ "Width": width, "Height": height }).to_string();
            if to.send(message(RESIZE, size.as_bytes())).await.is_err() {
                return;
            }
        }
        if changes.recv().await.is_none() {
            return;
        }
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.put_u8(channel);
    message.put_slice(bytes);
    Message::Binary(message.freeze())
}

/// The exit code from a `metav1.Status`.
fn ended(status: &[u8]) -> Result<i32> {
    if status.is_empty() {
        bail!("the connection broke before the command had ended");
    }
    let status: Value = serde_json::from_slice(status).context("read how it ended")?;
    if status["status"] == "Success" {
        return Ok(0);
    }
    let causes = status["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let code = causes.iter().find(|cause| cause["reason"] == "ExitCode").and_then(|cause| cause["message"].as_str());
    match code.and_then(|code| code.parse().ok()) {
        Some(code) => Ok(code),
        None => Err(anyhow!("{}", status["message"].as_str().unwrap_or("the daemon does not say why"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_may_send_us_to_either_scheme() {
        let target = Target::of("https://[::1]:8443/exec/token").unwrap();
        assert!(target.tls && target.address.port() == 8443 && target.path == "exec/token");
        assert!(!Target::of("http://127.0.0.1:1/exec/x").unwrap().tls);
        for bad in ["ftp://127.0.0.1:1/x", "http://127.0.0.1:1", "http://node/x", ""] {
            assert!(Target::of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_exit_code_and_an_error_are_told_apart() {
        assert_eq!(ended(br#"{"status":"Success"}"#).unwrap(), 0);
        let failed = br#"{"status":"Failure","details":{"causes":[{"reason":"ExitCode","message":"42"}]}}"#;
        assert_eq!(ended(failed).unwrap(), 42);
        let error = ended(br#"{"status":"Failure","message":"no such file"}"#).unwrap_err();
        assert_eq!(error.to_string(), "no such file");
        assert!(ended(b"").unwrap_err().to_string().contains("broke"));
    }
}
