use futures::{StreamExt as _, stream};
use wharf_error::{Error, Result, ResultExt as _};

use super::{GroupStats, WritableLayer};
use crate::{Container, ContainerState, Pods, inner::Inner, pod::blocking, time};

/// What a container uses.
#[derive(Clone, Debug)]
pub struct ContainerStats {
    /// The container.
    pub container: Container,
    /// Its control group.
    pub group: GroupStats,
    /// What it has written, where that can be told.
    pub writable: Option<WritableLayer>,
}

/// So many are asked after at once; of each of so many pods, for theirs: each takes a thread for a moment.
pub(super) const AT_ONCE: usize = 4;

impl Pods {
    /// What a running container uses.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where it does not run.
    pub async fn container_stats(&self, id: &str) -> Result<ContainerStats> {
        let container = self.container(id)?;
        let what = || format!("stats of container {}", container.id);
        container.expect_running().step(what)?;
        let stats = self.inner.container_stats(container.clone()).await.step(what)?;
        stats.ok_or_else(|| Error::new(wharf_error::Kind::FailedPrecondition, format!("{}: it has ended", what())))
    }

    /// What each running container uses that `which` names. One that ends meanwhile is left out.
    pub async fn list_container_stats(&self, which: impl Fn(&Container) -> bool) -> Vec<ContainerStats> {
        let all = self.stats_of_containers(which).await;
        self.inner.forget_stats();
        all
    }

    pub(super) async fn stats_of_containers(&self, which: impl Fn(&Container) -> bool) -> Vec<ContainerStats> {
        let mut running = self.containers();
        running.retain(|container| container.state() == ContainerState::Running && which(container));
        let asked = stream::iter(running).map(|container| async {
            let id = container.id.clone();
            let stats = self.inner.container_stats(container).await;
            stats.inspect_err(|error| tracing::warn!(container = %id, %error, "stats")).ok().flatten()
        });
        asked.buffered(AT_ONCE).filter_map(std::future::ready).collect().await
    }
}

// === impl Inner ===

impl Inner {
    /// None: it has ended meanwhile.
    pub(crate) async fn container_stats(&self, container: Container) -> Result<Option<ContainerStats>> {
        let Some(group) = self.group_stats(&container.cgroup, container.started_at).await? else { return Ok(None) };
        let writable = self.writable_layer(container.snapshot_key()).await;
        Ok(Some(ContainerStats { container, group, writable }))
    }

    /// None: there is no such group.
    pub(crate) async fn group_stats(&self, path: &str, started: i64) -> Result<Option<GroupStats>> {
        let group = self.cgroups.open(path)?;
        let read = blocking("read a control group", move || {
            match group.stats().and_then(|usage| Ok((usage, group.pressures()?))) {
                Ok(read) => Ok(Some(read)),
                // It went away while it was read.
                Err(_) if !group.exists() => Ok(None),
                Err(error) => Err(error),
            }
        });
        let Some((usage, pressures)) = read.await? else { return Ok(None) };
        let at = time::now();
        let nano_cores = self.cores.rate(path, started, at, usage.cpu.total_ns);
        Ok(Some(GroupStats { at, usage, nano_cores, pressures }))
    }

    /// Forgets what was kept of groups and containers that are no more.
    pub(crate) fn forget_stats(&self) {
        let there = self.all_container_ids();
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        self.cores.retain(|group| {
            there.contains(&last(group)) || self.pod_by(|pod| pod.sandbox.cgroup_parent == group).is_some()
        });
    }
}
