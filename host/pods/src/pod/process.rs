use wharf_error::Result;

use super::Stage;
use crate::{PodState, Pods};

/// What a pod is to those who know pods by the process of a pause container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PodProcess {
    /// It is being made.
    Making,
    /// It is there; `/proc/<id>/net` of this task is its network.
    Running(u32),
    /// It was stopped, or its shim is gone.
    Ended,
}

impl Pods {
    /// The task that stands for a pod. In the pod's own network, where it has one, that is a thread of its shim, which the
    /// first who asks has made.
    ///
    /// # Errors
    ///
    /// `NotFound`; else what the shim says.
    pub async fn pod_process(&self, id: &str) -> Result<PodProcess> {
        let entry = self.inner.pod_entry(id)?;
        let pod = entry.row();
        match (pod.stage, pod.state()) {
            (Stage::Making, _) => Ok(PodProcess::Making),
            (_, PodState::NotReady) => Ok(PodProcess::Ended),
            (_, PodState::Ready) => Ok(PodProcess::Running(entry.shim().await?.network_task().await?)),
        }
    }
}
