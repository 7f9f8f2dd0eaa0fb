use futures::Stream;
use tonic::Status;
use wharf_api::cri::{ListPodSandboxStatsRequest, StreamPodSandboxStatsRequest, StreamPodSandboxStatsResponse};
use wharf_error::Result;

use super::{Runtime, list_pod_sandbox_stats::list_pod_sandbox_stats};
use crate::parts::parts;

/// As `ListPodSandboxStats`, in messages of a size that everybody takes.
pub(super) async fn stream_pod_sandbox_stats(
    runtime: &Runtime,
    request: StreamPodSandboxStatsRequest,
) -> Result<impl Stream<Item = Result<StreamPodSandboxStatsResponse, Status>> + Send + 'static> {
    let listed = list_pod_sandbox_stats(runtime, ListPodSandboxStatsRequest { filter: request.filter }).await?;
    Ok(parts(listed.stats, |pod_sandbox_stats| StreamPodSandboxStatsResponse { pod_sandbox_stats }))
}
