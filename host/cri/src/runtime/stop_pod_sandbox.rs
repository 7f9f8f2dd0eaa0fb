use wharf_api::cri::{StopPodSandboxRequest, StopPodSandboxResponse};
use wharf_error::Result;

use super::Runtime;

pub(super) async fn stop_pod_sandbox(
    runtime: &Runtime,
    request: StopPodSandboxRequest,
) -> Result<StopPodSandboxResponse> {
    runtime.pods.stop_pod(&request.pod_sandbox_id).await?;
    Ok(StopPodSandboxResponse {})
}
