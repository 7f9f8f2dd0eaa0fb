use tonic::{Request, Response, Status};
use wharf_containerd_api::services::version::v1::{VersionResponse, version_server};

pub(crate) struct Version;

#[tonic::async_trait]
impl version_server::Version for Version {
    async fn version(&self, _: Request<()>) -> Result<Response<VersionResponse>, Status> {
        // Said as it is: who goes by a version of containerd's must not take us for one.
        let version = format!("{}+wharf", env!("CARGO_PKG_VERSION"));
        Ok(Response::new(VersionResponse { version, revision: String::new() }))
    }
}
