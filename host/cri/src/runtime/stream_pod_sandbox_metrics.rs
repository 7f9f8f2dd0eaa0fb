use futures::Stream;
use tonic::Status;
use wharf_api::cri::{ListPodSandboxMetricsRequest, StreamPodSandboxMetricsRequest, StreamPodSandboxMetricsResponse};
use wharf_error::Result;

use super::{Runtime, list_pod_sandbox_metrics::list_pod_sandbox_metrics};
use crate::parts::parts;

/// As `ListPodSandboxMetrics`, in messages of a size that everybody takes.
pub(super) async fn stream_pod_sandbox_metrics(
    runtime: &Runtime,
    _: StreamPodSandboxMetricsRequest,
) -> Result<impl Stream<Item = Result<StreamPodSandboxMetricsResponse, Status>> + Send + 'static> {
    let listed = list_pod_sandbox_metrics(runtime, ListPodSandboxMetricsRequest {}).await?;
    Ok(parts(listed.pod_metrics, |pod_sandbox_metrics| StreamPodSandboxMetricsResponse { pod_sandbox_metrics }))
}
