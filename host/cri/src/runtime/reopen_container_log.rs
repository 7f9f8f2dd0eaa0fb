use wharf_api::cri::{ReopenContainerLogRequest, ReopenContainerLogResponse};
use wharf_error::Result;

use super::Runtime;

/// After a rotation: on an error no new file is there.
pub(super) async fn reopen_container_log(
    runtime: &Runtime,
    request: ReopenContainerLogRequest,
) -> Result<ReopenContainerLogResponse> {
    runtime.pods.reopen_log(&request.container_id).await?;
    Ok(ReopenContainerLogResponse {})
}
