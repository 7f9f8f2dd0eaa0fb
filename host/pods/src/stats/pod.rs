use futures::{StreamExt as _, stream};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{ContainerStats, GroupStats, InterfaceUsage, container::AT_ONCE};
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
        let mut ready = self.pods();
        ready.retain(|pod| pod.state() == PodState::Ready && which(pod));
        let asked = stream::iter(ready).map(|pod| async {
            let id = pod.id.clone();
            let stats = self.stats_of(pod).await;
            stats.inspect_err(|error| tracing::warn!(pod = %id, %error, "stats")).ok().flatten()
        });
        let all = asked.buffered(AT_ONCE).filter_map(std::future::ready).collect().await;
        self.inner.forget_stats();
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
        let containers = self.stats_of_containers(|container| container.pod_id == pod.id).await;
        Ok(Some(PodStats { pod, group, interfaces, containers }))
    }
}
