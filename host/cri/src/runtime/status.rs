use std::collections::BTreeMap;

use serde_json::json;
use wharf_api::cri::{
    RuntimeCondition, RuntimeFeatures, RuntimeHandler, RuntimeHandlerFeatures, RuntimeStatus, StatusRequest,
    StatusResponse,
};
use wharf_error::Result;

use super::Runtime;

/// Ready to run pods; not ready to connect them, for there is no CNI yet.
pub(super) async fn status(runtime: &Runtime, request: StatusRequest) -> Result<StatusResponse> {
    let ready = RuntimeCondition { r#type: "RuntimeReady".into(), status: true, ..RuntimeCondition::default() };
    let network = RuntimeCondition {
        r#type: "NetworkReady".into(),
        status: false,
        reason: "NetworkPluginNotReady".into(),
        message: "network plugins (CNI) are not supported yet: pods have the node's network, or loopback alone".into(),
    };
    let features = runtime.pods.features().await?;
    let handler = |name: &str| RuntimeHandler {
        name: name.to_owned(),
        features: Some(RuntimeHandlerFeatures {
            recursive_read_only_mounts: features.recursive_read_only_mounts,
            user_namespaces: features.user_namespaces,
        }),
    };
    Ok(StatusResponse {
        status: Some(RuntimeStatus { conditions: vec![ready, network] }),
        info: if request.verbose { info(runtime) } else { BTreeMap::new() },
        runtime_handlers: vec![handler(""), handler(&runtime.pods.config().default_handler)],
        features: Some(RuntimeFeatures::default()),
    })
}

fn info(runtime: &Runtime) -> BTreeMap<String, String> {
    let pods = runtime.pods.config();
    let config = json!({
        "namespace": pods.namespace,
        "state": pods.state,
        "shim": pods.shim,
        "cgroupParent": pods.cgroup_parent,
        "defaultHandler": pods.default_handler,
        "maxLogLine": pods.max_log_line,
        "volatile": pods.volatile,
        "snapshotter": runtime.config.snapshotter,
    });
    BTreeMap::from([("config".to_owned(), config.to_string())])
}
