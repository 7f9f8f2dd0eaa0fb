use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::json;
use wharf_api::cri::{
    LinuxPodSandboxStatus, Namespace, PodIp, PodSandboxNetworkStatus, PodSandboxStatus, PodSandboxStatusRequest,
    PodSandboxStatusResponse,
};
use wharf_error::Result;
use wharf_pods::{Pod, PodProcess, PodState};

use super::{Runtime, cni_result::cni_result, container_status, convert};
use crate::info;

/// How long a pod's supervisor is asked for its process.
const ASK: Duration = Duration::from_secs(2);

pub(super) async fn pod_sandbox_status(
    runtime: &Runtime,
    request: PodSandboxStatusRequest,
) -> Result<PodSandboxStatusResponse> {
    let pod = runtime.pods.pod(&request.pod_sandbox_id)?;
    let timestamp = wharf_pods::now();
    let containers = runtime.pods.containers().into_iter().filter(|container| container.pod_id == pod.id);
    let containers_statuses = container_status::all(runtime, containers).await?;
    let info = if request.verbose { verbose(runtime, &pod).await? } else { BTreeMap::new() };
    Ok(PodSandboxStatusResponse { status: Some(of(runtime, &pod)?), info, containers_statuses, timestamp })
}

/// The status of a pod as this row has it.
pub(super) fn of(runtime: &Runtime, pod: &Pod) -> Result<PodSandboxStatus> {
    let config = convert::pod_config(pod)?;
    let security = config.linux.and_then(|linux| linux.security_context);
    let options = security.and_then(|security| security.namespace_options);
    Ok(PodSandboxStatus {
        metadata: Some(convert::pod_metadata(pod)),
        state: convert::pod_state(pod).into(),
        id: pod.id.clone(),
        created_at: pod.created_at,
        network: Some(addresses(runtime, pod)),
        linux: Some(LinuxPodSandboxStatus { namespaces: Some(Namespace { options }) }),
        labels: pod.labels.clone(),
        annotations: pod.annotations.clone(),
        runtime_handler: pod.runtime_handler.clone(),
    })
}

/// None on the node's network, where they are the node's, and none once the pod is stopped.
fn addresses(runtime: &Runtime, pod: &Pod) -> PodSandboxNetworkStatus {
    if pod.state() == PodState::NotReady {
        return PodSandboxNetworkStatus::default();
    }
    let mut addresses = runtime.pods.networks().addresses(&pod.id).into_iter().map(|address| address.to_string());
    PodSandboxNetworkStatus {
        ip: addresses.next().unwrap_or_default(),
        additional_ips: addresses.map(|ip| PodIp { ip }).collect(),
    }
}

/// `pid` and `runtimeSpec` as `nsenter` and others want them who know a pod by the process of a pause container.
async fn verbose(runtime: &Runtime, pod: &Pod) -> Result<BTreeMap<String, String>> {
    let config = info::message(&convert::pod_config(pod)?)?;
    let handler = match pod.runtime_handler.as_str() {
        "" => &runtime.pods.config().default_handler,
        named => named,
    };
    // People look at a pod whose supervisor does not answer, too.
    let pid = match tokio::time::timeout(ASK, runtime.pods.pod_process(&pod.id)).await {
        Ok(Ok(PodProcess::Running(pid))) => pid,
        Ok(Ok(PodProcess::Making | PodProcess::Ended) | Err(_)) | Err(_) => 0,
    };
    let closed = match pod.netns() {
        Some(path) => !wharf_network::is_pinned(Path::new(path)).await?,
        None => false,
    };
    let attachments = runtime.pods.networks().attachments(&pod.id);
    let namespaces: Vec<_> = pod.netns().iter().map(|path| json!({ "type": "network", "path": path })).collect();
    Ok(info::info(&json!({
        "pid": pid,
        "shimPid": pod.pid.unwrap_or_default(),
        "runtimeSpec": { "linux": { "namespaces": namespaces } },
        "netNamespace": pod.netns(),
        "netNamespaceClosed": closed,
        "networks": attachments,
        "cniResult": cni_result(&attachments),
        "runtimeHandler": handler,
        "limits": pod.limits,
        "cgroupParent": pod.sandbox.cgroup_parent,
        "bundle": runtime.pods.config().state.join("pods").join(&pod.id),
        "config": config,
    })))
}
