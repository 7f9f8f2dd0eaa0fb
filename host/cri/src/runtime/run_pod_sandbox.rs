use std::path::PathBuf;

use prost::Message as _;
use wharf_api::cri::{PodSandboxMetadata, RunPodSandboxRequest, RunPodSandboxResponse};
use wharf_error::{Error, Result};
use wharf_pods::{PodMetadata, PodRequest};

use super::{
    Runtime,
    network_request::network_request,
    sandbox_options::{resolv_conf, sandbox_options},
};
use crate::spec::refuse_pod;

pub(super) async fn run_pod_sandbox(runtime: &Runtime, request: RunPodSandboxRequest) -> Result<RunPodSandboxResponse> {
    let config = request.config.ok_or_else(|| Error::invalid("sandbox config is required"))?;
    let metadata = metadata(config.metadata.as_ref())?;
    refuse_pod(&config)?;
    let sandbox = sandbox_options(&config, &runtime.node().await?.hostname)?;
    let network = network_request(&config, sandbox.network, runtime.pods.networks().config().mode)?;
    if sandbox.user_namespace.is_some() {
        runtime.pods.need_user_namespaces(&request.runtime_handler).await?;
    }
    let log_directory = PathBuf::from(&config.log_directory);
    if !config.log_directory.is_empty() && !log_directory.is_absolute() {
        return Err(Error::invalid(format!("log_directory {log_directory:?} is not absolute")));
    }
    let pod = PodRequest {
        metadata,
        resolv_conf: resolv_conf(config.dns_config.as_ref())?,
        log_directory,
        sandbox,
        network,
        request: config.encode_to_vec(),
        labels: config.labels,
        annotations: config.annotations,
        runtime_handler: request.runtime_handler,
    };
    Ok(RunPodSandboxResponse { pod_sandbox_id: runtime.pods.run_pod(pod).await? })
}

fn metadata(metadata: Option<&PodSandboxMetadata>) -> Result<PodMetadata> {
    let metadata = metadata.ok_or_else(|| Error::invalid("sandbox config must include metadata"))?;
    if metadata.name.is_empty() {
        return Err(Error::invalid("sandbox config must include metadata.name"));
    }
    Ok(PodMetadata {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        attempt: metadata.attempt,
    })
}
