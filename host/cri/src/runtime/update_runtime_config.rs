use wharf_api::cri::{UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse};
use wharf_error::Result;

use super::Runtime;

/// The pods' address range, for network plugins that want to be told (capability `ipRanges`).
pub(super) async fn update_runtime_config(
    runtime: &Runtime,
    request: UpdateRuntimeConfigRequest,
) -> Result<UpdateRuntimeConfigResponse> {
    let network = request.runtime_config.and_then(|config| config.network_config).unwrap_or_default();
    runtime.pods.networks().set_pod_cidr(&network.pod_cidr).await?;
    Ok(UpdateRuntimeConfigResponse {})
}
