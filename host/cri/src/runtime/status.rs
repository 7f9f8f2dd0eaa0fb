use std::collections::BTreeMap;

use serde_json::json;
use wharf_api::cri::{
    RuntimeCondition, RuntimeFeatures, RuntimeHandler, RuntimeHandlerFeatures, RuntimeStatus, StatusRequest,
    StatusResponse,
};
use wharf_error::Result;
use wharf_shim_api::Features;

use super::Runtime;

/// Ready to run pods; ready to connect them as far as the network's configuration and plugins say.
pub(super) async fn status(runtime: &Runtime, request: StatusRequest) -> Result<StatusResponse> {
    let handlers = runtime.pods.handlers().await;
    let seen = runtime.pods.networks().status().await;
    let network = RuntimeCondition {
        r#type: "NetworkReady".into(),
        status: seen.ready,
        reason: seen.reason,
        // What is well needs no words.
        message: if seen.ready { String::new() } else { seen.message.clone() },
    };
    // Nothing runs without the shim; what the kubelet is told then is the reason, not that there is no runtime.
    let features = runtime.pods.features().await;
    let unusable = handlers.as_ref().err().or(features.as_ref().err()).map(ToString::to_string);
    let ready = RuntimeCondition {
        r#type: "RuntimeReady".into(),
        status: unusable.is_none(),
        reason: unusable.as_ref().map(|_| "ShimNotRunnable".into()).unwrap_or_default(),
        message: unusable.unwrap_or_default(),
    };
    let handler = |(name, features): (String, &Features)| RuntimeHandler {
        name,
        features: Some(RuntimeHandlerFeatures {
            recursive_read_only_mounts: features.recursive_read_only_mounts,
            user_namespaces: features.user_namespaces,
        }),
    };
    Ok(StatusResponse {
        status: Some(RuntimeStatus { conditions: vec![ready, network] }),
        info: if request.verbose { info(runtime, seen.ready, &seen.message) } else { BTreeMap::new() },
        runtime_handlers: handlers.unwrap_or_default().into_iter().map(handler).collect(),
        features: Some(RuntimeFeatures {
            supplemental_groups_policy: true,
            user_namespaces_host_network: features.is_ok_and(|features| features.user_namespaces),
            mount_options: true,
        }),
    })
}

/// What `crictl info` shows. `lastCNILoadStatus`, `cni` and `maxContainerLogLineSize` are what tools of containerd's nodes
/// look for.
fn info(runtime: &Runtime, ready: bool, network: &str) -> BTreeMap<String, String> {
    let networks = runtime.pods.networks().config();
    let pods = runtime.pods.config();
    let config = json!({
        "namespace": pods.namespace,
        "state": pods.state,
        "shim": pods.shim,
        "cgroupDriver": pods.cgroup_driver.name(),
        "cgroupParent": pods.cgroup_parent,
        "handlers": pods.handlers.keys().collect::<Vec<_>>(),
        "defaultHandler": pods.default_handler,
        "maxLogLine": pods.max_log_line,
        "maxContainerLogLineSize": pods.max_log_line,
        "cni": {
            "binDirs": networks.bin_dirs,
            "confDir": networks.conf_dir,
            "maxConfNum": networks.max_networks,
        },
        "volatile": pods.volatile,
        "snapshotter": runtime.config.snapshotter,
        "network": {
            "state": network,
            "cniConfDir": networks.conf_dir,
            "cniBinDirs": networks.bin_dirs,
            "maxConf": networks.max_networks,
        },
    });
    let loaded = if ready { "OK" } else { network };
    BTreeMap::from([
        ("config".to_owned(), config.to_string()),
        ("lastCNILoadStatus".to_owned(), json!(loaded).to_string()),
    ])
}
