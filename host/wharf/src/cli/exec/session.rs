//! The client's side of Kubernetes' remote command over WebSocket, `v5.channel.k8s.io`.

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::terminal;

const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// What is read at once, bytes.
const CHUNK: usize = 32 * 1024;

/// Copies until the command has ended; its exit code.
pub(super) async fn run(url: &str, stdin: bool, tty: bool) -> Result<i32> {
    let address = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    let address = address.with_context(|| format!("the daemon sends us to {url}, which is no http:// URL"))?;
    let connection = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    connection.set_nodelay(true).context("set TCP_NODELAY")?;
    let mut request = url.replacen("http://", "ws://", 1).into_client_request().context("ask for its streams")?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
    let (socket, _) = client_async(request, connection).await.context("connect to its streams")?;
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
    let written = match *channel {
        STDOUT => write(std::io::stdout().lock(), bytes),
        STDERR => write(std::io::stderr().lock(), bytes),
        ERROR => {
            status.extend_from_slice(bytes);
            Ok(())
        }
        _ => Ok(()),
    };
    written.context("write its output")
}

fn write(mut to: impl std::io::Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
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
    fn an_exit_code_and_an_error_are_told_apart() {
        assert_eq!(ended(br#"{"status":"Success"}"#).unwrap(), 0);
        let failed = br#"{"status":"Failure","details":{"causes":[{"reason":"ExitCode","message":"42"}]}}"#;
        assert_eq!(ended(failed).unwrap(), 42);
        let error = ended(br#"{"status":"Failure","message":"no such file"}"#).unwrap_err();
        assert_eq!(error.to_string(), "no such file");
        assert!(ended(b"").unwrap_err().to_string().contains("broke"));
    }
}
