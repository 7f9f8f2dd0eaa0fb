use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::Empty;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use wharf_error::{Kind, Result, ResultExt as _};

use crate::{
    AttachRequest, ExecRequest, Handler, PortForwardRequest, StreamingConfig,
    tls::{self, Tls},
    tokens::Tokens,
    upgrade::{self, Asked},
    wire::{Wire, second},
};

/// Connections at once, upgraded or not.
const MOST_CONNECTIONS: usize = 1024;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server behind CRI's streaming URLs. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

/// A server that listens and does not answer yet.
pub struct Listening {
    listener: TcpListener,
    server: Server,
}

pub(crate) struct Inner {
    pub(crate) config: StreamingConfig,
    address: SocketAddr,
    tls: Option<Tls>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) tokens: Tokens<Asked>,
}

// === impl Server ===

impl Server {
    /// Listens on the configured address.
    ///
    /// # Errors
    ///
    /// Where the address is not ours or is taken, and where certificate or key cannot be used.
    pub async fn bind(config: StreamingConfig, handler: Arc<dyn Handler>) -> Result<Listening> {
        let what = || format!("streaming: listen on {}", config.address);
        let tls = config.tls.as_ref().map(tls::tls).transpose()?;
        let listener = TcpListener::bind(config.address).await;
        let listener = listener.map_err(|error| {
            wharf_error::Error::new(Kind::FailedPrecondition, what())
                .because(error)
                .hint("set [streaming] address and port in the configuration")
        })?;
        let address = listener.local_addr().step(what)?;
        let tokens = Tokens::new(config.token_lifetime);
        let server = Self { inner: Arc::new(Inner { config, address, tls, handler, tokens }) };
        Ok(Listening { listener, server })
    }

    /// A URL for one exec. It is good once, for the configured time.
    ///
    /// # Errors
    ///
    /// `Exhausted` where too many clients have not come yet; for the others, too.
    pub fn exec_url(&self, request: ExecRequest) -> Result<String> {
        self.url("exec", Asked::Exec(request))
    }

    /// A URL for one attachment.
    pub fn attach_url(&self, request: AttachRequest) -> Result<String> {
        self.url("attach", Asked::Attach(request))
    }

    /// A URL for forwarding of ports over one connection.
    pub fn port_forward_url(&self, request: PortForwardRequest) -> Result<String> {
        self.url("portforward", Asked::PortForward(request))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// The certificate that a client is shown, DER; none: it does not speak TLS.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.inner.tls.as_ref()?.chain.first().map(AsRef::as_ref)
    }

    fn url(&self, path: &str, asked: Asked) -> Result<String> {
        let token = self.inner.tokens.keep(asked)?;
        let scheme = if self.inner.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}/{path}/{token}", self.inner.address))
    }
}

// === impl Listening ===

impl Listening {
    /// The server, to ask for URLs.
    pub fn server(&self) -> Server {
        self.server.clone()
    }

    /// Serves for ever. Dropping this stops listening; streams under way go on until their ends.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((connection, _)) => {
                    let inner = self.server.inner.clone();
                    tokio::spawn(async move {
                        serve(inner, connection, Arc::new(place)).await;
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: others must close first.
                    tracing::warn!(%error, "streaming: accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// What an upgraded connection keeps, too, until its end.
pub(crate) type Place = Arc<tokio::sync::OwnedSemaphorePermit>;

async fn serve(inner: Arc<Inner>, connection: TcpStream, place: Place) {
    if let Err(error) = connection.set_nodelay(true) {
        tracing::debug!(%error, "streaming: set TCP_NODELAY");
    }
    let wire = match secured(&inner, connection).await {
        Ok(wire) => wire,
        Err(error) => return tracing::debug!(%error, "streaming: a connection did not come about"),
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let (inner, place) = (inner.clone(), place.clone());
        async move { Ok::<Response<Empty<Bytes>>, Infallible>(upgrade::answer(inner, request, place)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "streaming: a connection broke before its upgrade");
    }
}

/// With TLS around it, where that is configured.
async fn secured(inner: &Inner, connection: TcpStream) -> io::Result<Wire> {
    let Some(tls) = &inner.tls else { return Wire::plain(connection) };
    let socket = second(&connection)?;
    let stream = tokio::time::timeout(PATIENCE, tls.acceptor.accept(connection)).await??;
    Ok(Wire::over(socket, stream))
}
