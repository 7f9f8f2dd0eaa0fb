use std::{future::Future, path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use wharf_admin::proto::admin_client::AdminClient;
use wharf_api::cri::{VersionRequest, runtime_service_client::RuntimeServiceClient};

/// How long a daemon that listens may take to accept.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs one client call on a runtime of its own.
pub(super) fn block_on<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(call)
}

/// A client of the daemon's admin service.
pub(super) async fn admin(socket: &Path) -> Result<AdminClient<Channel>> {
    Ok(AdminClient::new(connect(socket).await?))
}

/// What the daemon says of itself.
pub(super) async fn daemon_version(socket: &Path) -> Result<String> {
    let mut cri = RuntimeServiceClient::new(connect(socket).await?);
    let version = cri.version(VersionRequest::default()).await.map_err(said)?.into_inner();
    Ok(format!("{} {} (CRI {})", version.runtime_name, version.runtime_version, version.runtime_api_version))
}

/// A failed call in the daemon's own words.
pub(super) fn said(status: tonic::Status) -> anyhow::Error {
    anyhow!("{}", status.message())
}

async fn connect(socket: &Path) -> Result<Channel> {
    let path = socket.to_owned();
    // The authority is for the protocol's sake; the connector knows where to go.
    let endpoint = Endpoint::from_static("http://localhost").connect_timeout(PATIENCE);
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = endpoint.connect_with_connector(connector).await;
    channel.with_context(|| {
        format!(
            "no daemon answers on {}; is it running? (`wharf daemon`, or name its socket with --socket)",
            socket.display()
        )
    })
}
