use wharf_api::cri::{UpdateContainerResourcesRequest, UpdateContainerResourcesResponse};
use wharf_error::{Error, Kind, Result};

use super::Runtime;
use crate::spec;

/// All that is named, or nothing. Zero and empty mean: as it is.
pub(super) async fn update_container_resources(
    runtime: &Runtime,
    request: UpdateContainerResourcesRequest,
) -> Result<UpdateContainerResourcesResponse> {
    let container = runtime.pods.container(&request.container_id)?;
    if request.windows.is_some() {
        return Err(Error::new(Kind::Unsupported, format!("update container {}: windows", container.id)));
    }
    let node = runtime.node().await?;
    if let Some(asked) = &request.linux {
        if !asked.unified.is_empty() && !node.unified {
            let what =
                format!("update container {}: linux.unified: this node has control groups of version 1", container.id);
            return Err(Error::new(Kind::Unsupported, what));
        }
        runtime.pods.update_container(&container.id, spec::limits(asked, &node)).await?;
    }
    Ok(UpdateContainerResourcesResponse {})
}
