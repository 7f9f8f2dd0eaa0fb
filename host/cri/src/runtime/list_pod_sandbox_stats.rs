use wharf_api::cri::{ListPodSandboxStatsRequest, ListPodSandboxStatsResponse};
use wharf_error::Result;

use super::{Runtime, stats};
use crate::filter;

/// Of pods that are ready, and that match every field of the filter.
pub(super) async fn list_pod_sandbox_stats(
    runtime: &Runtime,
    request: ListPodSandboxStatsRequest,
) -> Result<ListPodSandboxStatsResponse> {
    let asked = request.filter.unwrap_or_default();
    let used = runtime
        .pods
        .list_pod_stats(|pod| filter::id(&asked.id, &pod.id) && filter::labels(&asked.label_selector, &pod.labels));
    Ok(ListPodSandboxStatsResponse { stats: used.await.into_iter().map(stats::pod).collect() })
}
