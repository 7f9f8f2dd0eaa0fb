use futures::Stream;
use tonic::Status;
use wharf_api::cri::{ListContainersRequest, StreamContainersRequest, StreamContainersResponse};
use wharf_error::Result;

use super::{Runtime, list_containers::list_containers};
use crate::parts::parts;

/// As `ListContainers` at the moment of asking, in messages of a size that everybody takes.
pub(super) async fn stream_containers(
    runtime: &Runtime,
    request: StreamContainersRequest,
) -> Result<impl Stream<Item = Result<StreamContainersResponse, Status>> + Send + 'static> {
    let listed = list_containers(runtime, ListContainersRequest { filter: request.filter }).await?;
    Ok(parts(listed.containers, |containers| StreamContainersResponse { containers }))
}
