//! What a new daemon does with what the last one left.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::future::join_all;
use tracing::Instrument as _;
use wharf_cgroups::Hierarchies;
use wharf_error::{Error, Result};
use wharf_images::Images;
use wharf_network::Networks;
use wharf_snapshots::{Kind, Snapshots};
use wharf_steps::Steps;
use wharf_store::Store;

use crate::{
    Container, Pod, Pods, PodsConfig,
    container::{self, UNSEEN},
    entry::{ContainerEntry, PodEntry},
    inner::Inner,
    pod,
    shim::{Shim, TaskState},
    store::{ContainerTable, PodTable},
    time,
};

/// How long [`Pods::open`] waits for the shims before it answers from the books.
const PATIENCE: Duration = Duration::from_millis(800);

/// What a new daemon finds of a pod's shim.
#[derive(Clone, Copy)]
enum Found {
    Answers,
    /// It is there, and does not answer in time: the node swaps or its disks stand still, and what runs goes on running.
    Silent,
    Gone,
}

impl Pods {
    /// Opens the books and takes over what runs.
    ///
    /// Every pod is asked for in parallel and finishes in the background; this answers when all are done or
    /// after 0.8 seconds, so that one stuck shim holds up nobody. Verbs on a pod wait for its own recovery.
    /// A pod whose shim is there and silent is left as the books have it, and the shim is asked on.
    /// Half-made pods and containers are undone, half-removed ones removed. After a reboot the pods of the boot
    /// before are listed as not ready and their containers as ended.
    ///
    /// # Errors
    ///
    /// Only where the books themselves or the control groups cannot be read.
    pub async fn open(
        config: PodsConfig,
        store: Store,
        snapshots: Snapshots,
        images: Images,
        networks: Networks,
    ) -> Result<Self> {
        let cgroups = Hierarchies::detect()?;
        let inner = Arc::new(Inner::new(config, store, snapshots, images, networks, cgroups));
        inner.take_over_boot().await?;
        let prefix = wharf_store::prefix(&inner.config.namespace);
        let (pods, containers) =
            inner.store.query(move |r| Ok((r.list::<PodTable>(&prefix)?, r.list::<ContainerTable>(&prefix)?))).await?;
        for (_, row) in containers {
            inner.list_container(row);
        }
        let mut recoveries = Vec::new();
        for (_, row) in pods {
            let id = row.id.clone();
            let (inner, entry) = (inner.clone(), inner.list_pod(row, false));
            // Taken before the first request can be served: verbs wait here for their own pod, and for no other.
            let steps = Steps::new(format!("take over pod sandbox {id}"));
            let life = steps.scope(entry.life.take()).await;
            let span = tracing::info_span!("recover", pod = %id);
            recoveries.push(tokio::spawn(
                async move {
                    if let Err(error) = steps.scope(inner.recover(&entry)).await {
                        tracing::error!(%error, "recover a pod sandbox; its removal can still be asked for");
                    }
                    entry.set_recovered();
                    drop(life);
                }
                .instrument(span),
            ));
        }
        let count = recoveries.len();
        let sweep = inner.clone();
        let all = tokio::spawn(async move {
            join_all(recoveries).await;
            sweep.events.recovered();
            sweep.sweep().await;
            // Plugins take their time, and nobody waits for this.
            tokio::spawn(async move { sweep.sweep_networks().await });
        });
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("some pod sandboxes take long to recover; going on in the background");
        } else if count > 0 {
            tracing::info!(pods = count, "recovered");
        }
        Ok(Self { inner })
    }
}

// === impl Inner ===

impl Inner {
    /// After a reboot: yesterday's rows, with nothing alive in them.
    async fn take_over_boot(&self) -> Result<()> {
        let store = self.store.clone();
        let (pods, containers) = pod::blocking("read the records of the last boot", move || {
            Ok((store.previous_boot::<PodTable>()?, store.previous_boot::<ContainerTable>()?))
        })
        .await?;
        if pods.is_empty() && containers.is_empty() {
            return Ok(());
        }
        tracing::info!(pods = pods.len(), containers = containers.len(), "taking over the records of the last boot");
        let now = time::now();
        let pod_keys = pods.iter().map(|(key, _)| key.clone()).collect();
        let container_keys = containers.iter().map(|(key, _)| key.clone()).collect();
        self.store
            .crash(move |w| {
                for (key, mut pod) in pods {
                    pod.stage = if pod.stage == pod::Stage::Made { pod::Stage::Stopped } else { pod::Stage::Removing };
                    pod.pid = None;
                    w.put::<PodTable>(&key, &pod)?;
                }
                for (key, mut container) in containers {
                    if container.stage == container::Stage::Making {
                        container.stage = container::Stage::Removing;
                    } else if container.stage != container::Stage::Removing && container.finished_at == 0 {
                        lost(&mut container, now, "the machine was started anew");
                    }
                    w.put::<ContainerTable>(&key, &container)?;
                }
                Ok(())
            })
            .await?;
        let store = self.store.clone();
        pod::blocking("forget the records of the last boot", move || {
            store.forget_previous_boot::<PodTable>(pod_keys)?;
            store.forget_previous_boot::<ContainerTable>(container_keys)
        })
        .await
    }

    async fn recover(self: &Arc<Self>, entry: &Arc<PodEntry>) -> Result<()> {
        let pod = entry.row();
        let mut found = Found::Gone;
        match pod.stage {
            pod::Stage::Making => {
                self.find_shim(entry, &pod).await;
                tracing::info!("undoing a pod sandbox that was being made");
                return self.unmake(entry).await;
            }
            pod::Stage::Removing => {
                self.find_shim(entry, &pod).await;
                tracing::info!("going on with the removal of a pod sandbox");
                return self.remove_pod(entry).await;
            }
            pod::Stage::Stopped => {
                // Of the boot before, or of a shim that ended by itself.
                if let Err(error) = self.networks.detach(&pod.id).await {
                    tracing::warn!(%error, "free the networks of a stopped pod; its removal tries again");
                }
            }
            pod::Stage::Made => {
                found = self.find_shim(entry, &pod).await;
                match found {
                    Found::Answers | Found::Silent => self.watch_pod(entry.clone()),
                    Found::Gone => self.lose(entry, &pod).await?,
                }
            }
        }
        let shim = entry.found_shim();
        entry.looked();
        for container in self.containers_of(&pod.id) {
            let row = container.row();
            if let (Found::Silent, true, Some(shim)) = (found, container.is_running(), &shim) {
                self.ask_later(container, shim.clone());
            } else if let Err(error) = self.recover_container(&container, shim.as_ref()).await {
                tracing::error!(container = %row.id, %error, "recover a container; its removal can still be asked for");
            }
        }
        Ok(())
    }

    async fn find_shim(&self, entry: &PodEntry, pod: &Pod) -> Found {
        if pod.address.is_empty() {
            return Found::Gone;
        }
        let shim = match Shim::connect(&pod.id, &pod.address, self.config.shim_deadline).await {
            Ok(shim) => shim,
            Err(error) => {
                tracing::warn!(%error, "the pod's supervisor is not there");
                return Found::Gone;
            }
        };
        match shim.ping().await {
            Ok(()) => {
                entry.set_shim(Some(shim));
                Found::Answers
            }
            Err(error) if error.kind() == wharf_error::Kind::DeadlineExceeded => {
                tracing::warn!(%error, "the pod's supervisor is there and does not answer; the pod is left as it is");
                entry.set_shim(Some(shim));
                Found::Silent
            }
            Err(error) => {
                tracing::warn!(%error, "the pod's supervisor does not answer");
                Found::Gone
            }
        }
    }

    async fn recover_container(self: &Arc<Self>, entry: &Arc<ContainerEntry>, shim: Option<&Shim>) -> Result<()> {
        let row = entry.row();
        match row.stage {
            container::Stage::Making | container::Stage::Removing => {
                let _life = entry.life.take().await;
                self.remove_container(entry).await
            }
            container::Stage::Created | container::Stage::Exited => Ok(()),
            container::Stage::Starting | container::Stage::Running => match shim {
                Some(shim) => self.ask_after(entry, &row, shim).await,
                None => self.book_lost(entry, &row).await,
            },
        }
    }

    pub(crate) async fn ask_after(
        self: &Arc<Self>,
        entry: &Arc<ContainerEntry>,
        row: &Container,
        shim: &Shim,
    ) -> Result<()> {
        // Before the shim is asked: a container that runs may have ended before its answer is here.
        let asked_at = time::now();
        let mut state = shim.state(&row.id).await;
        if let Ok(TaskState::Created) = state {
            // The last daemon died between making and starting it: it is as it was before the start was asked.
            match shim.delete_task(&row.id, "").await {
                Ok(()) => return self.update_container(entry, |row| row.stage = container::Stage::Created).await,
                // Or the start that it asked for is going through just now.
                Err(error) if error.kind() == wharf_error::Kind::FailedPrecondition => {
                    state = shim.state(&row.id).await;
                }
                Err(error) => return Err(error),
            }
        }
        match state {
            Ok(TaskState::Running(pid)) => {
                self.update_container(entry, |row| {
                    // Not one that has been ended or is being removed meanwhile.
                    if !row.is_under_way() {
                        return;
                    }
                    row.stage = container::Stage::Running;
                    row.pid = Some(pid);
                    if row.started_at == 0 {
                        row.started_at = asked_at;
                    }
                })
                .await?;
                self.watch(entry.clone(), shim.clone());
                Ok(())
            }
            Ok(TaskState::Stopped(exit)) => self.ended(entry, shim, Some(exit)).await,
            Ok(TaskState::Created) => {
                Err(Error::internal(format!("container {}: it can be neither deleted nor run", row.id)))
            }
            Err(error) if error.is_not_found() && row.stage == container::Stage::Starting => {
                self.update_container(entry, |row| row.stage = container::Stage::Created).await
            }
            Err(error) if error.is_not_found() || error.kind() == wharf_error::Kind::Unavailable => {
                self.ended(entry, shim, None).await
            }
            Err(error) => Err(error),
        }
    }

    async fn book_lost(&self, entry: &ContainerEntry, row: &Container) -> Result<()> {
        let bundle = row.bundle(&self.pods_dir());
        let left = pod::blocking("read a container's exit file", move || wharf_shim_api::ExitRecord::read(&bundle));
        let left = left.await.unwrap_or_default();
        self.kill_group(&row.cgroup).await?;
        self.update_container(entry, |row| match left {
            Some(left) => row.set_exited(left.exit_code, left.exited_at_ns, left.oom),
            None => lost(row, time::now(), "its supervisor ended before it; the exit code is not known"),
        })
        .await
    }

    /// Frees what no pod has, then looks whether the others still have what they were given.
    async fn sweep_networks(&self) {
        self.networks.collect(|pod| self.pod_entry(pod).is_ok()).await;
        for pod in self.all_pod_ids() {
            let Ok(entry) = self.pod_entry(&pod) else { continue };
            let _life = entry.life.take().await;
            if entry.row().stage == pod::Stage::Made
                && let Err(error) = self.networks.check(&pod).await
            {
                tracing::warn!(pod, %error, "the network of a pod is not as it was made; its containers go on");
            }
        }
    }

    async fn sweep(&self) {
        self.sweep_snapshots().await;
        // Whatever a shim runs is in our books, and so is its root: no layer without a row is in use.
        match self.snapshots.sweep(&HashSet::new()).await {
            Ok(swept) => {
                if !(swept.set_aside.is_empty() && swept.removed.is_empty() && swept.broken.is_empty()) {
                    tracing::warn!(?swept, "layers and books did not agree");
                }
            }
            Err(error) => tracing::error!(%error, "compare the layers with the books"),
        }
    }

    /// Snapshots of containers that no row knows: a daemon was killed between the two books.
    async fn sweep_snapshots(&self) {
        let known: HashSet<String> = self.all_container_ids();
        let namespace = &self.config.namespace;
        let listed = match self.snapshots.list(namespace).await {
            Ok(listed) => listed,
            Err(error) => return tracing::error!(%error, "list snapshots, to sweep those of no container"),
        };
        for snapshot in listed {
            let key = &snapshot.key;
            let Some(owner) = container::owner_of(key).filter(|_| snapshot.kind != Kind::Committed) else { continue };
            // Made before this daemon answered its first request, or its container would be in the books.
            if !known.contains(owner) && self.container_entry(owner).is_err() {
                tracing::info!(snapshot = %key, "removing a snapshot of a container that is not in the books");
                if let Err(error) = self.snapshots.remove(namespace, key).await {
                    tracing::warn!(snapshot = %key, %error, "remove a snapshot of a container that is not in the books");
                }
            }
        }
    }
}

fn lost(container: &mut Container, at: i64, message: &str) {
    container.set_exited(UNSEEN, at, false);
    container.reason = "Unknown".into();
    container.message = message.into();
}
