use wharf_api::cri::{ListContainerStatsRequest, ListContainerStatsResponse};
use wharf_error::Result;

use super::{Runtime, stats};
use crate::filter;

/// Of containers that run, and that match every field of the filter.
pub(super) async fn list_container_stats(
    runtime: &Runtime,
    request: ListContainerStatsRequest,
) -> Result<ListContainerStatsResponse> {
    let asked = request.filter.unwrap_or_default();
    let used = runtime.pods.list_container_stats(|container| {
        filter::id(&asked.id, &container.id)
            && filter::id(&asked.pod_sandbox_id, &container.pod_id)
            && filter::labels(&asked.label_selector, &container.labels)
    });
    Ok(ListContainerStatsResponse { stats: used.await.into_iter().map(stats::container).collect() })
}
