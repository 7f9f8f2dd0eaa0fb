use std::time::Duration;

use futures::future::join_all;
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_steps::step;

use super::{Pod, record::Stage};
use crate::{
    Pods,
    entry::{ContainerEntry, PodEntry},
    inner::Inner,
    shim,
};

impl Pods {
    /// Kills what runs in the pod, detaches it from its networks, then ends its namespaces and its shim. The records
    /// stay.
    ///
    /// Idempotent: a pod that is stopped or gone is success. A shim that does not answer is ended, and with it what it
    /// held: a pod that cannot be asked any more can always be stopped.
    ///
    /// # Errors
    ///
    /// Of the step that fails, such as a network plugin's own words: what comes after it is not done, and the next call
    /// goes on from there.
    pub async fn stop_pod(&self, id: &str) -> Result<()> {
        let entry = match self.inner.pod_entry(id) {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        let (inner, what) = (self.inner.clone(), format!("stop pod sandbox {}", entry.row().id));
        self.inner
            .detached(what, Duration::ZERO, async move {
                let _life = entry.life.take().await;
                inner.stop_pod(&entry).await
            })
            .await
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) async fn stop_pod(&self, entry: &PodEntry) -> Result<()> {
        let pod = entry.row();
        if pod.stage == Stage::Stopped {
            // Its shim ended by itself, or with the machine; a plugin may still hold an address for it.
            return self.networks.detach(&pod.id).await.step(|| format!("stop pod sandbox {}", pod.id));
        }
        self.thaw(&pod).await.step(|| format!("stop pod sandbox {}", pod.id))?;
        let containers = self.containers_of(&pod.id);
        let stops = containers.iter().map(|container| async {
            self.settle(container).await;
            self.stop_container(container, Duration::ZERO).await
        });
        let stopped: Result<Vec<()>> = join_all(stops).await.into_iter().collect();
        if let Err(error) = stopped {
            if self.is_alive(entry).await {
                return Err(error).step(|| format!("stop pod sandbox {}", pod.id));
            }
            tracing::warn!(pod = %pod.id, %error, "the pod's supervisor does not answer: it is ended");
        }
        point!("pods.stop.containers");
        self.tear_down(entry).await.step(|| format!("stop pod sandbox {}", pod.id))?;
        point!("pods.stop.torn-down");
        for container in &containers {
            // Of a shim that was ended the news comes later.
            let (id, ended) = (container.row().id, self.settled(container));
            step(move || format!("container {id}: wait for its end to be booked"), ended).await;
        }
        if pod.stage == Stage::Made {
            self.update_pod(entry, |pod| {
                pod.stage = Stage::Stopped;
                pod.pid = None;
            })
            .await?;
            tracing::info!(pod = %pod.id, "pod sandbox is stopped");
        }
        Ok(())
    }

    /// Frees the pod's networks, then ends its shim, namespaces and, where it is ours, control group. Safe to repeat;
    /// none of it there is success.
    pub(crate) async fn tear_down(&self, entry: &PodEntry) -> Result<()> {
        let pod = entry.row();
        let dir = self.pod_dir(&pod.id);
        // As long as the namespace is there: plugins clean up in it.
        self.networks.detach(&pod.id).await?;
        // Before its parent, which may be the shim's to remove.
        self.remove_mark(&pod).await?;
        let shut = match entry.found_shim() {
            Some(shim) if !shim.is_alive().await => Err(Error::new(Kind::Unavailable, "it does not answer")),
            Some(shim) => match shim.stop_sandbox().await {
                Ok(()) => {
                    point!("pods.stop.sandbox");
                    shim.shutdown().await
                }
                failed => failed,
            },
            None => Err(Error::new(Kind::Unavailable, "no supervisor is known")),
        };
        if let Err(error) = shut {
            // A shim that does not end by itself is ended: its work is ours then.
            tracing::debug!(pod = %pod.id, %error, "the pod's shim did not end by itself");
            shim::clean_up(&self.config, &pod.id, &dir).await?;
        }
        point!("pods.stop.shim");
        entry.set_shim(None);
        self.remove_group(&pod).await
    }

    /// Lets a pod's control group of ours run on: under v1 nothing in a frozen one ends.
    async fn thaw(&self, pod: &Pod) -> Result<()> {
        if !pod.owns_cgroup {
            return Ok(());
        }
        let group = self.cgroups.open(&pod.sandbox.cgroup_parent)?;
        super::run::blocking("thaw the pod's control group", move || group.thaw()).await
    }

    async fn is_alive(&self, entry: &PodEntry) -> bool {
        match entry.found_shim() {
            Some(shim) => shim.is_alive().await,
            None => false,
        }
    }

    /// Until a container that runs by the books is known to have ended, as long as a killed one may take.
    async fn settled(&self, entry: &ContainerEntry) {
        if entry.is_running() {
            let _ = tokio::time::timeout(self.config.kill_deadline, entry.ended()).await;
        }
    }

    /// Removes the pod's control group where it is ours, and the parent of all such with the last of them.
    pub(crate) async fn remove_group(&self, pod: &Pod) -> Result<()> {
        if let Some(scope) = &pod.scope {
            return self.leave_scope(pod, scope).await;
        }
        if pod.owns_cgroup {
            let group = self.cgroups.open(&pod.sandbox.cgroup_parent)?;
            // By the row: the configuration may name another by now.
            let parent = pod.sandbox.cgroup_parent.rsplit_once('/').map_or("", |(parent, _)| parent);
            let parent = (!parent.is_empty()).then(|| self.cgroups.open(parent)).transpose()?;
            let deadline = self.config.kill_deadline;
            super::run::blocking("remove the pod's control group", move || {
                group.delete(deadline)?;
                point!("pods.stop.cgroup");
                parent.map_or(Ok(()), |parent| parent.delete_if_empty())
            })
            .await?;
        }
        Ok(())
    }
}
