use std::{future::Future, path::Path, time::Duration};

use tonic::transport::{Channel, Endpoint};
use wharf_api::cri::{image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient};

/// How long a call may take that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of CRI, for what crictl has no verb for.
#[derive(Debug)]
pub struct Cri {
    reactor: tokio::runtime::Runtime,
    channel: Channel,
}

impl Cri {
    /// Over the socket of a daemon that runs.
    ///
    /// # Panics
    ///
    /// When the path is none for a URI, or threads cannot be had.
    pub fn new(socket: &Path) -> Self {
        let reactor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let reactor = reactor.unwrap_or_else(|error| panic!("start a reactor: {error}"));
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        let endpoint = endpoint.unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        // Small windows: a client that does not read is noticed soon.
        let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
        let channel = reactor.block_on(async { endpoint.connect_lazy() });
        Self { reactor, channel }
    }

    /// The connection, for services that are not CRI's.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// CRI's runtime service.
    pub fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
    }

    /// CRI's image service.
    pub fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone())
    }

    /// Runs a call to its end, a minute at most.
    ///
    /// # Panics
    ///
    /// When it takes longer.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        let done = self.reactor.block_on(async { tokio::time::timeout(PATIENCE, call).await });
        done.unwrap_or_else(|_| panic!("a call has no answer after {PATIENCE:?}"))
    }

    /// All messages of a stream, to its end.
    ///
    /// # Errors
    ///
    /// The status with which it ends, if that is none of success.
    pub fn all<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<tonic::Streaming<T>>, tonic::Status>>,
    ) -> Result<Vec<T>, tonic::Status> {
        self.wait(async {
            let mut stream = call.await?.into_inner();
            let mut all = Vec::new();
            while let Some(message) = stream.message().await? {
                all.push(message);
            }
            Ok(all)
        })
    }
}
