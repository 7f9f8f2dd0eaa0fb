use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{ContainerStats, GroupStats, InterfaceUsage};
use crate::{Pod, PodState, Pods, inner::Inner};

/// What a pod uses.
#[derive(Clone, Debug)]
pub struct PodStats {
    /// The pod.
    pub pod: Pod,
    /// Its control group, with those of its containers.
    pub group: GroupStats,
    /// Its interfaces; none on the node's network.
    pub interfaces: Vec<InterfaceUsage>,
    /// Its running containers.
    pub containers: Vec<ContainerStats>,
}

impl Pods {
    /// What a ready pod uses.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where it is not ready.
    pub async fn pod_stats(&self, id: &str) -> Result<PodStats> {
        let pod = self.pod(id)?;
        let what = || format!("stats of pod sandbox {}", pod.id);
        let stats = match pod.state() {
            PodState::Ready => self.stats_of(pod.clone()).await.step(what)?,
            PodState::NotReady => None,
        };
        stats.ok_or_else(|| Error::new(Kind::FailedPrecondition, format!("{}: it is not ready", what())))
    }

    /// What each ready pod uses that `which` names. One that ends meanwhile is left out.
    pub async fn list_pod_stats(&self, which: impl Fn(&Pod) -> bool) -> Vec<PodStats> {
        let ready = self.pods().into_iter().filter(|pod| pod.state() == PodState::Ready && which(pod));
        let mut all = Vec::new();
        for pod in ready {
            let id = pod.id.clone();
            match self.stats_of(pod).await {
                Ok(stats) => all.extend(stats),
                Err(error) => tracing::warn!(pod = %id, %error, "stats"),
            }
        }
        all
    }

    async fn stats_of(&self, pod: Pod) -> Result<Option<PodStats>> {
        let inner: &Inner = &self.inner;
        let Some(group) = inner.group_stats(&pod.sandbox.cgroup_parent, pod.created_at).await? else {
            return Ok(None);
        };
        let interfaces = match pod.netns() {
            Some(netns) => super::network::interfaces(netns.into()).await.unwrap_or_else(|error| {
                tracing::debug!(pod = %pod.id, %error, "read the counters of its network");
                Vec::new()
            }),
            None => Vec::new(),
        };
        let containers = self.list_container_stats(|container| container.pod_id == pod.id).await;
        Ok(Some(PodStats { pod, group, interfaces, containers }))
    }
}
