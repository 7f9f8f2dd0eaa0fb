use wharf_api::cri::{UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse};
use wharf_error::Result;

/// The pods' address range, for which nobody here has a use: whoever configures the network plugin is told by the
/// kubelet's own node object. Success, as every runtime answers, or the kubelet does not go on.
pub(super) async fn update_runtime_config(request: UpdateRuntimeConfigRequest) -> Result<UpdateRuntimeConfigResponse> {
    let network = request.runtime_config.and_then(|config| config.network_config).unwrap_or_default();
    tracing::debug!(pod_cidr = network.pod_cidr, "the kubelet tells the pods' addresses");
    Ok(UpdateRuntimeConfigResponse {})
}
