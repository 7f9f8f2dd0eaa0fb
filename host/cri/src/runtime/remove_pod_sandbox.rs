use wharf_api::cri::{RemovePodSandboxRequest, RemovePodSandboxResponse};
use wharf_error::Result;

use super::Runtime;

pub(super) async fn remove_pod_sandbox(
    runtime: &Runtime,
    request: RemovePodSandboxRequest,
) -> Result<RemovePodSandboxResponse> {
    runtime.pods.remove_pod(&request.pod_sandbox_id).await?;
    Ok(RemovePodSandboxResponse {})
}
