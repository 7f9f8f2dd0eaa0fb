use wharf_api::cri::{ContainerStatsRequest, ContainerStatsResponse};
use wharf_error::Result;

use super::{Runtime, stats};

pub(super) async fn container_stats(
    runtime: &Runtime,
    request: ContainerStatsRequest,
) -> Result<ContainerStatsResponse> {
    let used = runtime.pods.container_stats(&request.container_id).await?;
    Ok(ContainerStatsResponse { stats: Some(stats::container(used)) })
}
