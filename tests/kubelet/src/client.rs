use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use crate::kubelet::{HOSTNAME, SECURE};

const DEADLINE: Duration = Duration::from_secs(60);

/// A client of the kubelet's TLS port, as an API server is one.
pub struct Client {
    connector: TlsConnector,
    runtime: Runtime,
}

/// What a command run through the kubelet said.
#[derive(Debug, Default)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// The status document of channel 3.
    pub status: String,
}

impl Client {
    /// Trusts the certificate that the kubelet made for itself.
    pub fn new(certificate: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let pem = fs::read(certificate).with_context(|| format!("read {}", certificate.display()))?;
        for part in CertificateDer::pem_slice_iter(&pem) {
            let part = part.with_context(|| format!("understand {}", certificate.display()))?;
            // The leaf is no authority; what signed it is in the same file.
            let _ = roots.add(part);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("choose TLS versions")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), runtime })
    }

    /// GET or POST of a page: its body.
    pub fn fetch(&self, method: &str, path: &str) -> Result<String> {
        let request = format!("{method} {path} HTTP/1.0\r\nHost: {HOSTNAME}:{SECURE}\r\nContent-Length: 0\r\n\r\n");
        let answer = self.within(async {
            let mut stream = self.connect().await?;
            stream.write_all(request.as_bytes()).await.context("ask")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.context("read the answer")?;
            Ok(answer)
        });
        let answer = answer.with_context(|| format!("{method} {path}"))?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("{method} {path}: no HTTP: {text}"))?;
        ensure!(head.split(' ').nth(1) == Some("200"), "{method} {path}: {text}");
        Ok(body.to_owned())
    }

    /// Runs a command in a container over WebSocket, `input` as its standard input.
    pub fn exec(&self, pod: &str, container: &str, command: &[&str], input: Option<&str>) -> Result<Output> {
        let words: String = command.iter().map(|word| format!("&command={}", escaped(word))).collect();
        let stdin = if input.is_some() { "&input=1" } else { "" };
        let path = format!("/exec/default/{pod}-{HOSTNAME}/{container}?output=1&error=1{stdin}{words}");
        self.within(async {
            let mut request = format!("wss://{HOSTNAME}:{SECURE}{path}").into_client_request()?;
            request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("v5.channel.k8s.io"));
            let (mut socket, _) = client_async(request, self.connect().await?).await.context("upgrade")?;
            if let Some(input) = input {
                let data: Vec<u8> = std::iter::once(0).chain(input.bytes()).collect();
                socket.send(Message::Binary(Bytes::from(data))).await.context("send its input")?;
                // v5: the end of channel 0.
                socket.send(Message::Binary(Bytes::from_static(&[255, 0]))).await.context("end its input")?;
            }
            let mut output = Output::default();
            while let Some(message) = socket.next().await {
                let Message::Binary(bytes) = message.context("read its output")? else { continue };
                let Some((channel, data)) = bytes.split_first() else { continue };
                let text = String::from_utf8_lossy(data);
                match channel {
                    1 => output.stdout.push_str(&text),
                    2 => output.stderr.push_str(&text),
                    3 => output.status.push_str(&text),
                    _ => {}
                }
            }
            Ok(output)
        })
        .with_context(|| format!("exec {command:?} in {pod}/{container}"))
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", SECURE)).await.context("connect to the kubelet")?;
        let name = ServerName::try_from(HOSTNAME).context("a host name")?;
        self.connector.connect(name, stream).await.context("TLS with the kubelet")
    }

    fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(async { timeout(DEADLINE, work).await.context("no answer in time")? })
    }
}

fn escaped(word: &str) -> String {
    word.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
