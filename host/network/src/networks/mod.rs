mod attach;
mod check;
mod collect;
mod detach;
mod loaded;
mod open;
mod pod_cidr;
mod status;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wharf_error::Result;
use wharf_store::Store;

use self::loaded::Loaded;
use crate::{
    NetworkConfig,
    attachment::{Attachment, AttachmentTable, Joined},
    plugin::{Plugins, Stray},
};

/// The node's networks, and which pods are attached to them. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Networks {
    inner: Arc<Inner>,
}

struct Inner {
    config: NetworkConfig,
    store: Store,
    plugins: Plugins,
    loaded: RwLock<Arc<Loaded>>,
    /// One reading at a time.
    loading: tokio::sync::Mutex<()>,
    /// As in the store, by pod.
    rows: Mutex<BTreeMap<String, Attachment>>,
    /// Plugins of the last daemon that may still be at work, by pod.
    strays: Mutex<BTreeMap<String, Vec<Stray>>>,
    pod_cidr: RwLock<String>,
    /// Shared by whoever attaches or detaches: a collection must not meet an attachment that is not in its list.
    collecting: tokio::sync::RwLock<()>,
    /// What STATUS said, and when: nothing is wrong, or what.
    asked: tokio::sync::Mutex<Option<(Instant, Option<String>)>>,
    watcher: Mutex<Option<JoinHandle<()>>>,
}

// === impl Networks ===

impl Networks {
    /// The addresses of a pod, the preferred family's first one before all others; none where it is not attached.
    pub fn addresses(&self, pod: &str) -> Vec<IpAddr> {
        self.inner.rows().get(pod).map(|row| row.addresses(self.inner.config.prefer)).unwrap_or_default()
    }

    /// What a pod is attached to, for people: networks, interfaces, and what the plugins answered.
    pub fn attachments(&self, pod: &str) -> Value {
        let rows = self.inner.rows();
        let joined = rows.get(pod).into_iter().flat_map(|row| &row.joined);
        let one = |joined: &Joined| json!({ "network": joined.network.name, "interface": joined.interface, "result": joined.result });
        joined.map(one).collect()
    }

    /// Whether anything of the pod is attached, or may be: until a [`detach`](Self::detach) has succeeded.
    pub fn holds(&self, pod: &str) -> bool {
        self.inner.rows().contains_key(pod)
    }

    /// The configuration that these networks are run with.
    pub fn config(&self) -> &NetworkConfig {
        &self.inner.config
    }
}

// === impl Inner ===

impl Inner {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Attachment>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the row, then knows it.
    async fn put(&self, row: &Attachment) -> Result<()> {
        let (key, written) = (self.key(&row.pod), row.clone());
        self.store.crash(move |w| w.put::<AttachmentTable>(&key, &written)).await?;
        self.rows().insert(row.pod.clone(), row.clone());
        Ok(())
    }

    async fn forget(&self, pod: &str) -> Result<()> {
        let key = self.key(pod);
        self.store.crash(move |w| w.delete::<AttachmentTable>(&key)).await?;
        self.rows().remove(pod);
        Ok(())
    }

    fn key(&self, pod: &str) -> String {
        wharf_store::key(&self.config.namespace, pod)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take() {
            watcher.abort();
        }
    }
}
