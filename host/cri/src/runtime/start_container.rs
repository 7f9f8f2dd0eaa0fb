use wharf_api::cri::{StartContainerRequest, StartContainerResponse};
use wharf_error::Result;

use super::Runtime;

pub(super) async fn start_container(
    runtime: &Runtime,
    request: StartContainerRequest,
) -> Result<StartContainerResponse> {
    runtime.pods.start_container(&request.container_id).await?;
    Ok(StartContainerResponse {})
}
