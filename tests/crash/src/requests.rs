use std::path::Path;

use wharf_api::cri::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
    RunPodSandboxRequest,
};

/// The label by which a pod is found whose id was never told.
pub const LABEL: &str = "crash";

/// A pod of this name, whose containers' logs go to this folder. Its hostname is its name.
pub fn pod(name: &str, attempt: u32, logs: &Path, host_network: bool) -> RunPodSandboxRequest {
    let network = if host_network { NamespaceMode::Node } else { NamespaceMode::Pod };
    let namespaces =
        NamespaceOption { network: network.into(), pid: NamespaceMode::Container.into(), ..NamespaceOption::default() };
    let security =
        LinuxSandboxSecurityContext { namespace_options: Some(namespaces), ..LinuxSandboxSecurityContext::default() };
    let config = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
            namespace: "crash".into(),
            attempt,
        }),
        hostname: if host_network { String::new() } else { name.to_owned() },
        log_directory: logs.display().to_string(),
        labels: [(LABEL.to_owned(), name.to_owned())].into(),
        linux: Some(LinuxPodSandboxConfig { security_context: Some(security), ..LinuxPodSandboxConfig::default() }),
        ..PodSandboxConfig::default()
    };
    RunPodSandboxRequest { config: Some(config), ..RunPodSandboxRequest::default() }
}

/// A container that runs a script of the shell, with the log `<name>.log`.
pub fn container(
    pod_id: &str,
    pod: &RunPodSandboxRequest,
    name: &str,
    image: &str,
    script: &str,
) -> CreateContainerRequest {
    let config = ContainerConfig {
        metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: 0 }),
        image: Some(spec(image)),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        log_path: format!("{name}.log"),
        ..ContainerConfig::default()
    };
    CreateContainerRequest {
        pod_sandbox_id: pod_id.to_owned(),
        config: Some(config),
        sandbox_config: pod.config.clone(),
    }
}

/// An image by its name.
pub fn spec(image: &str) -> ImageSpec {
    ImageSpec { image: image.to_owned(), ..ImageSpec::default() }
}
