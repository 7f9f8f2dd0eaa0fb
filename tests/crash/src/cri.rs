use std::{future::Future, path::Path, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::Instant};
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;
use wharf_api::cri::{image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient};

/// A client of a daemon that comes and goes: it connects when it is asked, and again after each loss. Cheap to clone.
#[derive(Clone)]
pub struct Cri {
    pub runtime: RuntimeServiceClient<Channel>,
    pub images: ImageServiceClient<Channel>,
}

/// What the daemon answered in place of what was asked; never that it was not there.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {code:?}: {message}")]
pub struct Refused {
    pub what: String,
    pub code: Code,
    pub message: String,
}

/// One call may take this long, a pull under all the kills among them.
const CALL: Duration = Duration::from_secs(120);
/// Nobody is gone for longer: the killer starts the daemon again at once.
const AWAY: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);

// === impl Cri ===

impl Cri {
    pub fn new(socket: &Path) -> Self {
        let path = socket.to_owned();
        let connector = service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
        Self { runtime: RuntimeServiceClient::new(channel.clone()), images: ImageServiceClient::new(channel) }
    }

    /// Asks until there is an answer: a call whose daemon died under it, or was not there, is made again.
    ///
    /// # Errors
    ///
    /// What the daemon itself says, or that none has answered in two minutes.
    pub async fn ask<T, F>(&self, what: &str, send: impl Fn(Self) -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let end = Instant::now() + AWAY;
        loop {
            match self.once(&send).await {
                Ok(answer) => return Ok(answer),
                Err(status) if is_gone(&status) && Instant::now() < end => tokio::time::sleep(PAUSE).await,
                Err(status) => return Err(refused(what, &status)),
            }
        }
    }

    /// Asks once; what came of it, the loss of the daemon included.
    ///
    /// # Errors
    ///
    /// What the daemon says, or that it is gone ([`is_gone`]).
    pub async fn once<T, F>(&self, send: impl Fn(Self) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = tokio::time::timeout(CALL, send(self.clone())).await;
        answer
            .unwrap_or_else(|_| Err(Status::deadline_exceeded(format!("no answer in {CALL:?}"))))
            .map(Response::into_inner)
    }
}

/// Whether this side made the status: a daemon's own has no source.
pub fn is_gone(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

pub fn refused(what: &str, status: &Status) -> Refused {
    Refused { what: what.to_owned(), code: status.code(), message: status.message().to_owned() }
}
