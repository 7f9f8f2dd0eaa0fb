use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Error, Result};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::Channel;
use wharf_admin::proto::admin_client::AdminClient;
use wharf_api::cri::{VersionRequest, runtime_service_client::RuntimeServiceClient};

use super::{
    Endpoint,
    exit::{NoDaemon, Said},
};

/// How long a daemon that listens may take to accept, and then to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer that is taken, bytes: that of a node with many containers.
const LONGEST: usize = 64 << 20;

/// Runs one client call on a runtime of its own.
pub(super) fn block_on<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(call);
    // A thread may wait for standard input for ever.
    runtime.shutdown_background();
    done
}

/// A client of the daemon's admin service.
pub(super) async fn admin(endpoint: &Endpoint) -> Result<AdminClient<Channel>> {
    Ok(AdminClient::new(connect(endpoint.socket()).await?).max_decoding_message_size(LONGEST))
}

/// A client of CRI's runtime service.
pub(super) async fn runtime(endpoint: &Endpoint) -> Result<RuntimeServiceClient<Channel>> {
    Ok(RuntimeServiceClient::new(connect(endpoint.socket()).await?).max_decoding_message_size(LONGEST))
}

/// What the daemon says of itself.
pub(super) async fn daemon_version(endpoint: &Endpoint) -> Result<String> {
    let version = runtime(endpoint).await?.version(VersionRequest::default()).await.map_err(said)?.into_inner();
    Ok(format!("{} {} (CRI {})", version.runtime_name, version.runtime_version, version.runtime_api_version))
}

/// A failed call in the daemon's own words.
pub(super) fn said(status: tonic::Status) -> Error {
    Said(status).into()
}

async fn connect(socket: PathBuf) -> Result<Channel> {
    let path = socket.clone();
    // The authority is for the protocol's sake; the connector knows where to go.
    let endpoint = tonic::transport::Endpoint::from_static("http://localhost").connect_timeout(PATIENCE);
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel =
        endpoint.connect_with_connector(connector).await.map_err(|error| refused(&socket, deepest(&error)))?;
    // The kernel takes connections also for one that is stopped or stuck. Whatever it answers, it answers.
    let mut runtime = RuntimeServiceClient::new(channel.clone());
    if tokio::time::timeout(PATIENCE, runtime.version(VersionRequest::default())).await.is_err() {
        let text = format!(
            "a daemon is there on {} and has not answered for {PATIENCE:?} (is it stopped or stuck? its log may say why)",
            socket.display()
        );
        return Err(NoDaemon(text).into());
    }
    Ok(channel)
}

fn refused(socket: &Path, cause: &(dyn std::error::Error + 'static)) -> NoDaemon {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    NoDaemon(match kind {
        Some(io::ErrorKind::PermissionDenied) => {
            format!("connect to {}: {cause} (the daemon's socket is root's alone: use sudo)", socket.display())
        }
        _ => format!(
            "no daemon answers on {}: {cause} (is it running? `wharf daemon`, or name its socket with --socket)",
            socket.display()
        ),
    })
}

fn deepest<'e>(error: &'e (dyn std::error::Error + 'static)) -> &'e (dyn std::error::Error + 'static) {
    let mut deepest = error;
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
    }
    deepest
}
