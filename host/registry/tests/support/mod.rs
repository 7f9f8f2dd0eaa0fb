//! A registry of our own for what no real one does on demand: it answers as the test says and remembers every request.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

mod authority;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use oci_spec::image::{Descriptor, MediaType};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use wharf_registry::{Client, ClientConfig, Reference, digest_of};

pub use self::authority::{Authority, certificate};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// How a request is answered.
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Announce this length instead of the body's.
    length: Option<u64>,
    end: End,
}

enum End {
    Whole,
    /// Break the connection after the body.
    Break,
    /// Never send another byte.
    Stall,
    /// Without a length, in chunks.
    Chunked,
    /// Without an answer.
    Reset,
}

pub struct Fake {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), length: None, end: End::Whole }
    }

    /// No answer: the connection is closed.
    pub fn reset() -> Self {
        Self { end: End::Reset, ..Self::status(200) }
    }

    pub fn not_found() -> Self {
        Self::status(404).body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Self::status(307).header("location", to)
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The first `count` bytes of the body, then a broken connection.
    pub fn broken_after(mut self, count: usize) -> Self {
        self.length = Some(self.body.len() as u64);
        self.body.truncate(count);
        self.end = End::Break;
        self
    }

    /// The first `count` bytes of the body, then silence.
    pub fn stalled_after(mut self, count: usize) -> Self {
        self.length = Some(self.body.len() as u64);
        self.body.truncate(count);
        self.end = End::Stall;
        self
    }

    pub fn chunked(mut self) -> Self {
        self.end = End::Chunked;
        self
    }

    fn into_response(self) -> Response<UnsyncBoxBody<Bytes, io::Error>> {
        let mut builder = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        let length = self.length.unwrap_or(self.body.len() as u64);
        if !matches!(self.end, End::Chunked) {
            builder = builder.header("content-length", length);
        }
        let chunks: Vec<io::Result<Frame<Bytes>>> =
            self.body.chunks(16 << 10).map(|c| Ok(Frame::data(Bytes::copy_from_slice(c)))).collect();
        let body = stream::iter(chunks);
        let body = match self.end {
            End::Whole | End::Chunked | End::Reset => body.boxed(),
            // What was sent must have left before the connection goes.
            End::Break => body
                .chain(stream::once(async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Err(io::Error::other("broken by the test"))
                }))
                .boxed(),
            End::Stall => body.chain(stream::pending()).boxed(),
        };
        builder.body(UnsyncBoxBody::new(StreamBody::new(body))).unwrap()
    }
}

impl Fake {
    /// Serves plain http on loopback until it is dropped.
    pub async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve("127.0.0.1:0", None, handler).await
    }

    /// As [`start`](Self::start), where another one was before.
    pub async fn start_at(address: &str, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(address, None, handler).await
    }

    /// Serves https with this certificate.
    pub async fn start_tls(
        config: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_tls_at("127.0.0.1:0", config, handler).await
    }

    /// As [`start_tls`](Self::start_tls), where another one was before.
    pub async fn start_tls_at(
        address: &str,
        config: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve(address, Some(tokio_rustls::TlsAcceptor::from(config)), handler).await
    }

    async fn serve(
        at: &str,
        tls: Option<tokio_rustls::TlsAcceptor>,
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        // One that was dropped here lets go of its port at some moment.
        let listener = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                match TcpListener::bind(at).await {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => tokio::task::yield_now().await,
                    listener => break listener.unwrap(),
                }
            }
        });
        let listener = listener.await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, log) = (Arc::new(handler), seen.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (handler, log, tls) = (handler.clone(), log.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(socket, handler, log).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                connection(socket, handler, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path.starts_with(path)).count()
    }
}

async fn connection(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: Arc<impl Fn(&Seen) -> Reply + Send + Sync + 'static>,
    log: Arc<Mutex<Vec<Seen>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, log) = (handler.clone(), log.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let seen = Seen {
                method: head.method.to_string(),
                path: head.uri.to_string(),
                headers: head.headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            };
            log.lock().unwrap().push(seen.clone());
            let reply = handler(&seen);
            match reply.end {
                End::Reset => Err(io::Error::other("reset by the test")),
                _ => Ok(reply.into_response()),
            }
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

/// A manifest that is good enough to be resolved.
pub fn manifest() -> String {
    let digest = digest_of(b"{}").unwrap();
    let config = format!(r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":2}}"#);
    format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{config},"layers":[]}}"#)
}

pub fn manifest_reply() -> Reply {
    Reply::ok(manifest()).header("content-type", OCI_MANIFEST)
}

/// Bytes that are not alike anywhere, and their descriptor.
pub fn blob(size: usize) -> (Vec<u8>, Descriptor) {
    let bytes: Vec<u8> = (0..size).map(|n| u8::try_from((n * 31 + n / 251) % 256).unwrap()).collect();
    let descriptor = descriptor(&bytes);
    (bytes, descriptor)
}

pub fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::ImageLayerGzip, bytes.len() as u64, digest_of(bytes).unwrap())
}

pub fn reference(registry: &str, rest: &str) -> Reference {
    format!("{registry}/{rest}").parse().unwrap()
}

/// A client that is impatient and reads its hosts from `certs_d`.
pub fn client(certs_d: &Path) -> Client {
    Client::new(ClientConfig {
        certs_d: certs_d.into(),
        connect_timeout: Duration::from_secs(5),
        progress_timeout: Duration::from_secs(10),
        retries: 2,
        backoff: Duration::from_millis(5),
        ..ClientConfig::default()
    })
    .unwrap()
}

pub fn impatient(certs_d: &Path) -> Client {
    Client::new(ClientConfig {
        certs_d: certs_d.into(),
        progress_timeout: Duration::from_millis(400),
        retries: 2,
        backoff: Duration::from_millis(5),
        ..ClientConfig::default()
    })
    .unwrap()
}

/// Writes `<registry>/hosts.toml`.
pub fn hosts(certs_d: &Path, registry: &str, text: &str) {
    let folder = certs_d.join(registry);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("hosts.toml"), text).unwrap();
}

pub async fn read_all(client: &Client, reference: &Reference, descriptor: &Descriptor) -> wharf_error::Result<Vec<u8>> {
    let mut stream = client.blob(reference, descriptor, None).await?;
    let mut all = Vec::new();
    while let Some(chunk) = stream.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}
