use std::{future::Future, path::Path, time::Duration};

use anyhow::{Error, Result};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use wharf_admin::proto::admin_client::AdminClient;
use wharf_api::cri::{VersionRequest, runtime_service_client::RuntimeServiceClient};

use super::exit::{NoDaemon, Said};

/// How long a daemon that listens may take to accept.
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
pub(super) async fn admin(socket: &Path) -> Result<AdminClient<Channel>> {
    Ok(AdminClient::new(connect(socket).await?).max_decoding_message_size(LONGEST))
}

/// A client of CRI's runtime service.
pub(super) async fn runtime(socket: &Path) -> Result<RuntimeServiceClient<Channel>> {
    Ok(RuntimeServiceClient::new(connect(socket).await?).max_decoding_message_size(LONGEST))
}

/// What the daemon says of itself.
pub(super) async fn daemon_version(socket: &Path) -> Result<String> {
    let version = runtime(socket).await?.version(VersionRequest::default()).await.map_err(said)?.into_inner();
    Ok(format!("{} {} (CRI {})", version.runtime_name, version.runtime_version, version.runtime_api_version))
}

/// A failed call in the daemon's own words.
pub(super) fn said(status: tonic::Status) -> Error {
    Said(status).into()
}

async fn connect(socket: &Path) -> Result<Channel> {
    let path = socket.to_owned();
    // The authority is for the protocol's sake; the connector knows where to go.
    let endpoint = Endpoint::from_static("http://localhost").connect_timeout(PATIENCE);
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connector).await.map_err(|error| {
        let cause = deepest(&error);
        NoDaemon(format!(
            "no daemon answers on {}: {cause} (is it running? `wharf daemon`, or name its socket with --socket)",
            socket.display()
        ))
        .into()
    })
}

fn deepest<'e>(error: &'e (dyn std::error::Error + 'static)) -> &'e (dyn std::error::Error + 'static) {
    let mut deepest = error;
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
    }
    deepest
}
