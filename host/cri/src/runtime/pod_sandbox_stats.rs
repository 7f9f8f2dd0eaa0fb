use wharf_api::cri::{PodSandboxStatsRequest, PodSandboxStatsResponse};
use wharf_error::Result;

use super::{Runtime, stats};

pub(super) async fn pod_sandbox_stats(
    runtime: &Runtime,
    request: PodSandboxStatsRequest,
) -> Result<PodSandboxStatsResponse> {
    let used = runtime.pods.pod_stats(&request.pod_sandbox_id).await?;
    Ok(PodSandboxStatsResponse { stats: Some(stats::pod(used)) })
}
