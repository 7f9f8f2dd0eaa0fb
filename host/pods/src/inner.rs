use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::OnceCell;
use wharf_cgroups::Hierarchies;
use wharf_error::{Error, Result};
use wharf_images::Images;
use wharf_network::Networks;
use wharf_shim_api::Features;
use wharf_snapshots::Snapshots;
use wharf_store::Store;
use wharf_systemd::Systemd;

use crate::{
    PodsConfig,
    container::{self, Container},
    entry::{ContainerEntry, PodEntry},
    events::Hub,
    operations::Operations,
    pod::{self, Pod},
    stats::Cores,
    store::{ContainerTable, PodTable},
};

/// All pods and containers of one containerd namespace. Cheap to clone.
#[derive(Clone)]
pub struct Pods {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: PodsConfig,
    pub(crate) store: Store,
    pub(crate) snapshots: Snapshots,
    pub(crate) images: Images,
    pub(crate) networks: Networks,
    pub(crate) cgroups: Hierarchies,
    /// Spoken to only for pods in scopes.
    pub(crate) systemd: Systemd,
    pub(crate) operations: Operations,
    pub(crate) events: Hub,
    /// By runtime handler: what each can do, once it was asked.
    pub(crate) features: BTreeMap<String, OnceCell<Features>>,
    pub(crate) cores: Cores,
    pods: RwLock<BTreeMap<String, Arc<PodEntry>>>,
    containers: RwLock<BTreeMap<String, Arc<ContainerEntry>>>,
}

// === impl Pods ===

impl Pods {
    /// The pod with this id, or with the only id that begins so.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `InvalidArgument` where several ids begin so.
    pub fn pod(&self, id: &str) -> Result<Pod> {
        Ok(self.inner.pod_entry(id)?.row())
    }

    /// Every pod, in the order of their ids.
    pub fn pods(&self) -> Vec<Pod> {
        let pods = self.inner.pods.read().unwrap_or_else(PoisonError::into_inner);
        pods.values().map(|entry| entry.row()).filter(|pod| pod.stage != pod::Stage::Making).collect()
    }

    /// The container with this id, or with the only id that begins so.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `InvalidArgument` where several ids begin so.
    pub fn container(&self, id: &str) -> Result<Container> {
        Ok(self.inner.container_entry(id)?.row())
    }

    /// Every container, in the order of their ids.
    pub fn containers(&self) -> Vec<Container> {
        let containers = self.inner.containers.read().unwrap_or_else(PoisonError::into_inner);
        containers
            .values()
            .map(|entry| entry.row())
            .filter(|container| container.stage != container::Stage::Making)
            .collect()
    }

    /// The networks that pods with a network namespace of their own are attached to.
    pub fn networks(&self) -> &Networks {
        &self.inner.networks
    }

    /// The configuration that these pods run with.
    pub fn config(&self) -> &PodsConfig {
        &self.inner.config
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) fn new(
        config: PodsConfig,
        store: Store,
        snapshots: Snapshots,
        images: Images,
        networks: Networks,
        cgroups: Hierarchies,
    ) -> Self {
        let features = config.handlers.keys().map(|name| (name.clone(), OnceCell::new())).collect();
        Self {
            events: Hub::new(config.event_buffer),
            operations: Operations::new(config.step_deadline),
            systemd: Systemd::new(config.step_deadline),
            config,
            store,
            snapshots,
            images,
            networks,
            cgroups,
            features,
            cores: Cores::default(),
            pods: RwLock::default(),
            containers: RwLock::default(),
        }
    }

    /// The folder that holds every pod's bundle.
    pub(crate) fn pods_dir(&self) -> PathBuf {
        self.config.state.join("pods")
    }

    pub(crate) fn pod_dir(&self, id: &str) -> PathBuf {
        self.pods_dir().join(id)
    }

    pub(crate) fn row_key(&self, id: &str) -> String {
        wharf_store::key(&self.config.namespace, id)
    }

    pub(crate) fn pod_entry(&self, id: &str) -> Result<Arc<PodEntry>> {
        find(&self.pods.read().unwrap_or_else(PoisonError::into_inner), "pod sandbox", id)
    }

    pub(crate) fn container_entry(&self, id: &str) -> Result<Arc<ContainerEntry>> {
        find(&self.containers.read().unwrap_or_else(PoisonError::into_inner), "container", id)
    }

    /// As [`Inner::container_entry`], once a new daemon has taken over the container's pod: until then the row says what
    /// the last one was about to do.
    pub(crate) async fn recovered_entry(&self, id: &str) -> Result<Arc<ContainerEntry>> {
        let row = self.container_entry(id)?.row();
        if let Ok(pod) = self.pod_entry(&row.pod_id) {
            pod.recovered().await;
        }
        self.container_entry(&row.id)
    }

    pub(crate) fn pod_by(&self, matches: impl Fn(&Pod) -> bool) -> Option<Arc<PodEntry>> {
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        pods.values().find(|entry| matches(&entry.lock())).cloned()
    }

    pub(crate) fn container_by(&self, matches: impl Fn(&Container) -> bool) -> Option<Arc<ContainerEntry>> {
        let containers = self.containers.read().unwrap_or_else(PoisonError::into_inner);
        containers.values().find(|entry| matches(&entry.lock())).cloned()
    }

    pub(crate) fn all_container_ids(&self) -> std::collections::HashSet<String> {
        self.containers.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn all_pod_ids(&self) -> Vec<String> {
        self.pods.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn containers_of(&self, pod: &str) -> Vec<Arc<ContainerEntry>> {
        let containers = self.containers.read().unwrap_or_else(PoisonError::into_inner);
        containers.values().filter(|entry| entry.lock().pod_id == pod).cloned().collect()
    }

    /// Writes the row, then lists the pod.
    pub(crate) async fn add_pod(&self, pod: Pod) -> Result<Arc<PodEntry>> {
        self.put_pod(pod.clone()).await?;
        Ok(self.list_pod(pod, true))
    }

    /// `looked` of false: it is of the last daemon, its shim is still to be found and what was under way to be undone or
    /// gone on with; calls that need it wait until [`PodEntry::looked`] or [`PodEntry::recovered`].
    pub(crate) fn list_pod(&self, pod: Pod, looked: bool) -> Arc<PodEntry> {
        let id = pod.id.clone();
        let entry = Arc::new(PodEntry::new(pod, looked));
        self.pods.write().unwrap_or_else(PoisonError::into_inner).insert(id, entry.clone());
        entry
    }

    /// Changes a pod's row, in the store first. Callers hold the pod's `life`.
    pub(crate) async fn update_pod(&self, entry: &PodEntry, change: impl FnOnce(&mut Pod)) -> Result<()> {
        let mut row = entry.row();
        let before = row.stage;
        change(&mut row);
        self.put_pod(row.clone()).await?;
        *entry.lock() = row.clone();
        self.tell_pod(before, &row);
        Ok(())
    }

    /// Deletes a pod's row, then stops listing it. `pod` is as it was when its removal began.
    pub(crate) async fn forget_pod(&self, pod: &Pod) -> Result<()> {
        let key = self.row_key(&pod.id);
        self.store.crash(move |w| w.delete::<PodTable>(&key)).await?;
        self.pods.write().unwrap_or_else(PoisonError::into_inner).remove(&pod.id);
        self.tell_pod_deleted(pod);
        Ok(())
    }

    /// Writes the row, then lists the container.
    pub(crate) async fn add_container(&self, container: Container) -> Result<Arc<ContainerEntry>> {
        self.put_container(container.clone()).await?;
        Ok(self.list_container(container))
    }

    pub(crate) fn list_container(&self, container: Container) -> Arc<ContainerEntry> {
        let id = container.id.clone();
        let entry = Arc::new(ContainerEntry::new(container));
        self.containers.write().unwrap_or_else(PoisonError::into_inner).insert(id, entry.clone());
        entry
    }

    /// Changes a container's row, in the store first; whoever waits for its end hears of it after.
    pub(crate) async fn update_container(
        &self,
        entry: &ContainerEntry,
        change: impl FnOnce(&mut Container),
    ) -> Result<()> {
        let _book = entry.book.lock().await;
        let mut row = entry.row();
        let before = row.stage;
        change(&mut row);
        self.put_container(row.clone()).await?;
        let ended = row.finished_at != 0;
        *entry.lock() = row.clone();
        self.tell_container(before, &row);
        entry.ended.send_replace(ended);
        Ok(())
    }

    /// Deletes a container's row, then stops listing it. `container` is as it was when its removal began.
    pub(crate) async fn forget_container(&self, container: &Container) -> Result<()> {
        let key = self.row_key(&container.id);
        self.store.crash(move |w| w.delete::<ContainerTable>(&key)).await?;
        self.containers.write().unwrap_or_else(PoisonError::into_inner).remove(&container.id);
        self.tell_deleted(container);
        Ok(())
    }

    async fn put_pod(&self, row: Pod) -> Result<()> {
        let key = self.row_key(&row.id);
        self.store.crash(move |w| w.put::<PodTable>(&key, &row)).await
    }

    async fn put_container(&self, row: Container) -> Result<()> {
        let key = self.row_key(&row.id);
        self.store.crash(move |w| w.put::<ContainerTable>(&key, &row)).await
    }
}

fn find<T>(map: &BTreeMap<String, Arc<T>>, object: &str, id: &str) -> Result<Arc<T>> {
    if id.is_empty() {
        return Err(Error::invalid(format!("{object}: the id is empty")));
    }
    if let Some(entry) = map.get(id) {
        return Ok(entry.clone());
    }
    let mut beginning = map.range(id.to_owned()..).take_while(|(full, _)| full.starts_with(id));
    match (beginning.next(), beginning.next()) {
        (Some((_, entry)), None) => Ok(entry.clone()),
        (Some(_), Some(_)) => {
            Err(Error::invalid(format!("{object} {id}: several ids begin so")).hint("give more digits of the id"))
        }
        (None, _) => Err(Error::not_found(object, format!("{id:?}"))),
    }
}
