use std::time::Duration;

use oci_spec::runtime::LinuxResources;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{PodState, run::blocking};
use crate::{Pods, entry::PodEntry, inner::Inner};

impl Pods {
    /// Notes the limits of a whole pod, and sets them where the pod's control group is ours: a client with a control
    /// group of its own, as the kubelet, has set them there before it asks.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where the pod is not ready; `Unsupported` for a limit that this node does not
    /// have; else what the kernel says, or systemd where the pod is in a scope of its. Then nothing is noted, and the call may be
    /// made again.
    pub async fn update_pod(&self, id: &str, limits: LinuxResources) -> Result<()> {
        let entry = self.inner.pod_entry(id)?;
        let (inner, what) = (self.inner.clone(), format!("update pod sandbox {}", entry.row().id));
        self.inner
            .detached(what, Duration::ZERO, async move {
                let _life = entry.life.take().await;
                let id = entry.row().id;
                inner.update_pod_limits(&entry, limits).await.step(|| format!("update pod sandbox {id}"))
            })
            .await
    }
}

// === impl Inner ===

impl Inner {
    async fn update_pod_limits(&self, entry: &PodEntry, limits: LinuxResources) -> Result<()> {
        let pod = entry.row();
        if pod.state() != PodState::Ready {
            return Err(Error::new(Kind::FailedPrecondition, "it is not ready"));
        }
        if pod.owns_cgroup {
            let group = self.cgroups.open(&pod.sandbox.cgroup_parent)?;
            let asked = limits.clone();
            let set = {
                let group = group.clone();
                move || group.apply(&asked)
            };
            // First, since the kernel judges them.
            let warnings = blocking("set the pod's limits", set.clone()).await?;
            if let Some(scope) = &pod.scope {
                self.systemd.set_limits(&scope.unit, &limits).await?;
                // It rounds some.
                blocking("set the pod's limits", set).await?;
            }
            for warning in warnings {
                tracing::warn!(pod = %pod.id, warning, "limit");
            }
        }
        self.update_pod(entry, |pod| pod.limits = Some(limits)).await
    }
}
