use wharf_api::cri::{RemoveContainerRequest, RemoveContainerResponse};
use wharf_error::Result;

use super::Runtime;

pub(super) async fn remove_container(
    runtime: &Runtime,
    request: RemoveContainerRequest,
) -> Result<RemoveContainerResponse> {
    runtime.pods.remove_container(&request.container_id).await?;
    Ok(RemoveContainerResponse {})
}
