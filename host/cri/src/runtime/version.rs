use wharf_api::cri::{VersionRequest, VersionResponse};
use wharf_error::Result;

use super::Runtime;

/// The version of the kubelet's own API, which it has sent since before CRI had one.
const KUBELET_API: &str = "0.1.0";

pub(super) async fn version(runtime: &Runtime, _: VersionRequest) -> Result<VersionResponse> {
    Ok(VersionResponse {
        version: KUBELET_API.into(),
        runtime_name: runtime.config.runtime_name.clone(),
        runtime_version: runtime.config.runtime_version.clone(),
        runtime_api_version: "v1".into(),
    })
}
