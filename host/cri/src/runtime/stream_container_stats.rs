use futures::Stream;
use tonic::Status;
use wharf_api::cri::{ListContainerStatsRequest, StreamContainerStatsRequest, StreamContainerStatsResponse};
use wharf_error::Result;

use super::{Runtime, list_container_stats::list_container_stats};
use crate::parts::parts;

/// As `ListContainerStats`, in messages of a size that everybody takes.
pub(super) async fn stream_container_stats(
    runtime: &Runtime,
    request: StreamContainerStatsRequest,
) -> Result<impl Stream<Item = Result<StreamContainerStatsResponse, Status>> + Send + 'static> {
    let listed = list_container_stats(runtime, ListContainerStatsRequest { filter: request.filter }).await?;
    Ok(parts(listed.stats, |container_stats| StreamContainerStatsResponse { container_stats }))
}
