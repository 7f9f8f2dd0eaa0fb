use std::time::Duration;

use wharf_api::cri::{StopContainerRequest, StopContainerResponse};
use wharf_error::Result;

use super::Runtime;

/// Zero seconds, and less, kill at once.
pub(super) async fn stop_container(runtime: &Runtime, request: StopContainerRequest) -> Result<StopContainerResponse> {
    let timeout = Duration::from_secs(u64::try_from(request.timeout).unwrap_or_default());
    runtime.pods.stop_container(&request.container_id, timeout).await?;
    Ok(StopContainerResponse {})
}
