use futures::Stream;
use tonic::Status;
use wharf_api::cri::{ListPodSandboxRequest, StreamPodSandboxesRequest, StreamPodSandboxesResponse};
use wharf_error::Result;

use super::{Runtime, list_pod_sandbox::list_pod_sandbox};
use crate::parts::parts;

/// As `ListPodSandbox` at the moment of asking, in messages of a size that everybody takes.
pub(super) async fn stream_pod_sandboxes(
    runtime: &Runtime,
    request: StreamPodSandboxesRequest,
) -> Result<impl Stream<Item = Result<StreamPodSandboxesResponse, Status>> + Send + 'static> {
    let listed = list_pod_sandbox(runtime, ListPodSandboxRequest { filter: request.filter }).await?;
    Ok(parts(listed.items, |pod_sandboxes| StreamPodSandboxesResponse { pod_sandboxes }))
}
