use std::{path::Path, time::Duration};

use tonic::Status;
use wharf_api::cri::{
    CreateContainerRequest, PullImageRequest, RemoveContainerRequest, RemoveImageRequest, RemovePodSandboxRequest,
    RunPodSandboxRequest, StartContainerRequest, StopContainerRequest, StopPodSandboxRequest,
};

use crate::{
    cri::Cri,
    requests::{self, spec},
    samples::Samples,
};

/// What is swept, in the order of a pod's life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    Pull,
    RunPod,
    Create,
    Start,
    Stop,
    Remove,
    StopPod,
    RemovePod,
    RemoveImage,
}

/// What the verbs are about.
#[derive(Clone, Debug)]
pub struct Subject {
    pub pod_request: RunPodSandboxRequest,
    /// Set by [`Verb::RunPod`].
    pub pod: String,
    /// Set by [`Verb::Create`].
    pub container: String,
}

/// It runs until it is killed.
const SCRIPT: &str = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo line $i; done; exec sleep 1000";

// === impl Verb ===

impl Verb {
    pub const ALL: [Self; 9] = [
        Self::Pull,
        Self::RunPod,
        Self::Create,
        Self::Start,
        Self::Stop,
        Self::Remove,
        Self::StopPod,
        Self::RemovePod,
        Self::RemoveImage,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pull => "PullImage",
            Self::RunPod => "RunPodSandbox",
            Self::Create => "CreateContainer",
            Self::Start => "StartContainer",
            Self::Stop => "StopContainer",
            Self::Remove => "RemoveContainer",
            Self::StopPod => "StopPodSandbox",
            Self::RemovePod => "RemovePodSandbox",
            Self::RemoveImage => "RemoveImage",
        }
    }

    /// Whether the image is part of what it changes.
    pub fn is_of_images(self) -> bool {
        matches!(self, Self::Pull | Self::RemoveImage)
    }

    /// What goes on in the background after its answer is over by then.
    pub fn settles(self) -> Duration {
        Duration::from_millis(if self == Self::Pull { 900 } else { 150 })
    }

    /// Asks once; the id of what was made.
    ///
    /// # Errors
    ///
    /// What the daemon says, or its loss.
    pub async fn ask(self, cri: Cri, subject: Subject) -> Result<String, Status> {
        let Subject { pod_request, pod, container } = subject;
        let image = Some(spec(&Samples::base()));
        let Cri { mut runtime, mut images } = cri;
        let nothing = String::new;
        Ok(match self {
            Self::Pull => {
                let request = PullImageRequest { image, ..PullImageRequest::default() };
                images.pull_image(request).await?.into_inner().image_ref
            }
            Self::RunPod => runtime.run_pod_sandbox(pod_request).await?.into_inner().pod_sandbox_id,
            Self::Create => {
                let request: CreateContainerRequest =
                    requests::container(&pod, &pod_request, "main", &Samples::base(), SCRIPT);
                runtime.create_container(request).await?.into_inner().container_id
            }
            Self::Start => {
                runtime.start_container(StartContainerRequest { container_id: container }).await.map(|_| nothing())?
            }
            Self::Stop => {
                let request = StopContainerRequest { container_id: container, timeout: 0 };
                runtime.stop_container(request).await.map(|_| nothing())?
            }
            Self::Remove => {
                runtime.remove_container(RemoveContainerRequest { container_id: container }).await.map(|_| nothing())?
            }
            Self::StopPod => {
                runtime.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: pod }).await.map(|_| nothing())?
            }
            Self::RemovePod => {
                runtime.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: pod }).await.map(|_| nothing())?
            }
            Self::RemoveImage => images.remove_image(RemoveImageRequest { image }).await.map(|_| nothing())?,
        })
    }
}

// === impl Subject ===

impl Subject {
    pub fn new(name: &str, logs: &Path) -> Self {
        let pod_request = requests::pod(name, 0, &logs.join(name), false);
        Self { pod_request, pod: String::new(), container: String::new() }
    }
}
