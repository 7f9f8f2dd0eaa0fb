use std::{path::PathBuf, sync::Arc};

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wharf_images::Images;
use wharf_network::Networks;
use wharf_plugins::Plugins;
use wharf_pods::Pods;
use wharf_snapshots::Snapshots;

use crate::{
    NodeInfo, images, import_image, info, plugins,
    proto::{
        ImageStatusReply, ImageStatusRequest, ImportImageReply, ImportImageRequest, InfoReply, InfoRequest,
        ListImagesReply, ListImagesRequest, PluginsReply, PluginsRequest, PullImageReply, PullImageRequest,
        RemoveImageReply, RemoveImageRequest, SnapshotsReply, SnapshotsRequest, StreamCertificateReply,
        StreamCertificateRequest,
        admin_server::{Admin, AdminServer},
    },
    pull_image, snapshots,
};

/// What the service works with.
pub struct Parts {
    /// The loaded plugins.
    pub plugins: Arc<Plugins>,
    /// The images.
    pub images: Images,
    /// Whose containers use them.
    pub pods: Pods,
    /// Their layers, and the roots of containers.
    pub snapshots: Snapshots,
    /// The networks of pods.
    pub networks: Networks,
    /// A folder of ours on the disk of the images, for an archive on its way in.
    pub spool: PathBuf,
    /// The certificate of the server of streams, DER; none: it does not speak TLS.
    pub stream_certificate: Option<Vec<u8>>,
    /// What the daemon knows of itself.
    pub node: NodeInfo,
}

/// The admin service, to be added to a server.
pub fn service(parts: Parts) -> AdminServer<impl Admin> {
    AdminServer::new(Service(parts))
}

struct Service(Parts);

#[tonic::async_trait]
impl Admin for Service {
    type PullImageStream = ReceiverStream<Result<PullImageReply, Status>>;

    async fn plugins(&self, _: Request<PluginsRequest>) -> Result<Response<PluginsReply>, Status> {
        Ok(Response::new(plugins::reply(&self.0.plugins)))
    }

    async fn import_image(
        &self,
        request: Request<Streaming<ImportImageRequest>>,
    ) -> Result<Response<ImportImageReply>, Status> {
        import_image::import(&self.0.images, &self.0.spool, request.into_inner()).await.map(Response::new)
    }

    async fn pull_image(&self, request: Request<PullImageRequest>) -> Result<Response<Self::PullImageStream>, Status> {
        pull_image::pull(self.0.images.clone(), request.into_inner()).map(Response::new)
    }

    async fn list_images(&self, request: Request<ListImagesRequest>) -> Result<Response<ListImagesReply>, Status> {
        images::list(&self.0.images, &self.0.pods, &request.into_inner()).await.map(Response::new)
    }

    async fn image_status(&self, request: Request<ImageStatusRequest>) -> Result<Response<ImageStatusReply>, Status> {
        images::status(&self.0.images, &self.0.pods, &request.into_inner()).await.map(Response::new)
    }

    async fn remove_image(&self, request: Request<RemoveImageRequest>) -> Result<Response<RemoveImageReply>, Status> {
        images::remove(&self.0.images, &request.into_inner()).await.map(Response::new)
    }

    async fn snapshots(&self, request: Request<SnapshotsRequest>) -> Result<Response<SnapshotsReply>, Status> {
        snapshots::list(&self.0.snapshots, &request.into_inner()).await.map(Response::new)
    }

    async fn stream_certificate(
        &self,
        _: Request<StreamCertificateRequest>,
    ) -> Result<Response<StreamCertificateReply>, Status> {
        let certificate = self.0.stream_certificate.clone().unwrap_or_default();
        Ok(Response::new(StreamCertificateReply { certificate }))
    }

    async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoReply>, Status> {
        info::reply(&self.0.node, &self.0.plugins, &self.0.networks).await.map(Response::new)
    }
}

/// The containerd namespace that is meant.
pub(crate) fn namespace(named: &str) -> &str {
    if named.is_empty() { "k8s.io" } else { named }
}
