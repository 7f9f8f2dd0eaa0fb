use std::{path::PathBuf, sync::Arc};

use tonic::{Request, Response, Status, Streaming};
use wharf_images::Images;
use wharf_plugins::Plugins;

use crate::{
    import_image, plugins,
    proto::{
        ImportImageReply, ImportImageRequest, PluginsReply, PluginsRequest,
        admin_server::{Admin, AdminServer},
    },
};

/// The admin service over these plugins and images. `spool` is a folder of ours on the disk of the images, for an
/// archive on its way in.
pub fn service(plugins: Arc<Plugins>, images: Images, spool: PathBuf) -> AdminServer<impl Admin> {
    AdminServer::new(Service { plugins, images, spool })
}

struct Service {
    plugins: Arc<Plugins>,
    images: Images,
    spool: PathBuf,
}

#[tonic::async_trait]
impl Admin for Service {
    async fn plugins(&self, _: Request<PluginsRequest>) -> Result<Response<PluginsReply>, Status> {
        Ok(Response::new(plugins::reply(&self.plugins)))
    }

    async fn import_image(
        &self,
        request: Request<Streaming<ImportImageRequest>>,
    ) -> Result<Response<ImportImageReply>, Status> {
        import_image::import(&self.images, &self.spool, request.into_inner()).await.map(Response::new)
    }
}
