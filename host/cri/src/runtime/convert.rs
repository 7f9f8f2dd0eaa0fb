//! What `wharf_pods` knows in CRI's words.

use prost::Message as _;
use wharf_api::cri::{self, CreateContainerRequest, PodSandboxConfig};
use wharf_error::{Kind, Result, ResultExt as _};
use wharf_pods::{Container, ContainerState, Pod, PodState};

/// What the pod was asked for with.
pub(super) fn pod_config(pod: &Pod) -> Result<PodSandboxConfig> {
    PodSandboxConfig::decode(&pod.request[..])
        .step_as(Kind::DataLoss, || format!("pod sandbox {}: decode its request", pod.id))
}

/// What the container was asked for with.
pub(super) fn container_request(container: &Container) -> Result<CreateContainerRequest> {
    CreateContainerRequest::decode(&container.request[..])
        .step_as(Kind::DataLoss, || format!("container {}: decode its request", container.id))
}

/// An image as the user wrote it; the kubelet asks by the id and says beside it what was written.
pub(super) fn image_as_written(image: &cri::ImageSpec) -> &str {
    match image.user_specified_image.as_str() {
        "" => &image.image,
        written => written,
    }
}

pub(super) fn pod_metadata(pod: &Pod) -> cri::PodSandboxMetadata {
    cri::PodSandboxMetadata {
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        namespace: pod.metadata.namespace.clone(),
        attempt: pod.metadata.attempt,
    }
}

pub(super) fn container_metadata(container: &Container) -> cri::ContainerMetadata {
    cri::ContainerMetadata { name: container.metadata.name.clone(), attempt: container.metadata.attempt }
}

pub(super) fn pod_state(pod: &Pod) -> cri::PodSandboxState {
    match pod.state() {
        PodState::Ready => cri::PodSandboxState::SandboxReady,
        PodState::NotReady => cri::PodSandboxState::SandboxNotready,
    }
}

pub(super) fn container_state(container: &Container) -> cri::ContainerState {
    match container.state() {
        ContainerState::Created => cri::ContainerState::ContainerCreated,
        ContainerState::Running => cri::ContainerState::ContainerRunning,
        ContainerState::Exited => cri::ContainerState::ContainerExited,
        ContainerState::Unknown => cri::ContainerState::ContainerUnknown,
    }
}
