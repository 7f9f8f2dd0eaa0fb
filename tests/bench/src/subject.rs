use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;
use wharf_api::cri::{
    ImageSpec, PullImageRequest, RemoveImageRequest, VersionRequest, image_service_client::ImageServiceClient,
    runtime_service_client::RuntimeServiceClient,
};

use crate::process;

/// No single request takes as long on any runtime that works.
const DEADLINE: Duration = Duration::from_secs(300);

/// A runtime under measurement.
pub struct Subject {
    name: String,
    version: String,
    daemon: u32,
    pub(crate) runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

// === impl Subject ===

impl Subject {
    /// Connects once, for the whole run.
    pub async fn connect(name: &str, socket: &Path, daemon: Option<u32>) -> Result<Self> {
        let path: PathBuf = socket.to_owned();
        let connector = service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await;
        let channel = channel.with_context(|| format!("{name}: connect to {}", socket.display()))?;
        let mut runtime = RuntimeServiceClient::new(channel.clone());
        let version = within("Version", runtime.version(VersionRequest::default())).await?;
        let daemon = daemon.map_or_else(|| process::owner(socket), Ok)?;
        Ok(Self {
            name: name.to_owned(),
            version: format!("{} {}", version.runtime_name, version.runtime_version),
            daemon,
            runtime,
            images: ImageServiceClient::new(channel),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says of itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub async fn pull(&mut self, image: &str) -> Result<()> {
        let request = PullImageRequest { image: Some(spec(image)), ..PullImageRequest::default() };
        within("PullImage", self.images.pull_image(request)).await.map(drop)
    }

    pub async fn remove_image(&mut self, image: &str) -> Result<()> {
        let request = RemoveImageRequest { image: Some(spec(image)) };
        within("RemoveImage", self.images.remove_image(request)).await.map(drop)
    }

    /// Memory of daemon and shims, in MB.
    pub fn memory(&self) -> Result<f64> {
        let pids = [vec![self.daemon], process::shims(self.daemon)].concat();
        let kilobytes = pids.iter().map(|pid| process::pss(*pid)).sum::<Result<u64>>()?;
        Ok(f64::from(u32::try_from(kilobytes)?) * 1024.0 / 1e6)
    }

    /// Begins to watch for the most memory that the daemon has.
    pub fn watch_memory(&self) -> Result<()> {
        process::forget_peak(self.daemon)
    }

    /// The most memory that the daemon had since it was watched, in MB.
    pub fn most_memory(&self) -> Result<f64> {
        Ok(f64::from(u32::try_from(process::peak(self.daemon)?)?) * 1024.0 / 1e6)
    }

    /// How many shims it has.
    pub fn shims(&self) -> usize {
        process::shims(self.daemon).len()
    }

    /// CPU seconds of the daemon so far, with those of its children that ended.
    pub fn daemon_cpu(&self) -> Result<f64> {
        process::cpu(self.daemon)
    }

    /// CPU seconds of its shims so far, with those of their children that ended.
    pub fn shim_cpu(&self) -> Result<f64> {
        process::shims(self.daemon).into_iter().map(process::cpu).sum()
    }
}

/// A request that ends, with its name in the error.
pub(crate) async fn within<T>(what: &str, request: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
    let answer = tokio::time::timeout(DEADLINE, request).await;
    let answer = answer.with_context(|| format!("{what}: no answer in {DEADLINE:?}"))?;
    answer
        .map(Response::into_inner)
        .map_err(|status| anyhow::anyhow!("{what}: {:?}: {}", status.code(), status.message()))
}

pub(crate) fn spec(image: &str) -> ImageSpec {
    ImageSpec { image: image.to_owned(), ..ImageSpec::default() }
}
