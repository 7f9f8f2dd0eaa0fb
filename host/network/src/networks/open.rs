use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use wharf_error::{Result, ResultExt as _};
use wharf_store::Store;

use super::{Inner, Networks, loaded::Loaded};
use crate::{
    Mode, NetworkConfig,
    attachment::{Attachment, AttachmentTable, CollectionTable, PodCidrTable},
    conf::Watch,
    plugin::{Plugins, Stray, find_strays},
};

impl Networks {
    /// Opens the books, looks for plugins that a killed daemon left at work, and begins to watch the configuration. That is
    /// read in the background: no plugin holds up the start.
    ///
    /// Attachments of the boot before this one are taken over: [`detach`](Self::detach) frees them.
    ///
    /// # Errors
    ///
    /// Where the books cannot be read.
    pub async fn open(config: NetworkConfig, store: Store) -> Result<Self> {
        let namespace = config.namespace.clone();
        let books = store.clone();
        let read = move || {
            let prefix = wharf_store::prefix(&namespace);
            take_over_boot(&books, &prefix)?;
            books.read(|r| {
                let collecting = r.get::<CollectionTable>(&prefix)?.is_some();
                Ok((r.list::<AttachmentTable>(&prefix)?, r.get::<PodCidrTable>(&prefix)?, collecting))
            })
        };
        let (rows, pod_cidr, collecting) =
            blocking(read).await.and_then(|read| read).step(|| "read the books of network attachments".into())?;
        let rows: BTreeMap<_, _> = rows.into_iter().map(|(_, row)| (row.pod.clone(), row)).collect();
        let owner = store.id().to_owned();
        let plugins = Plugins::new(config.bin_dirs.clone(), config.plugin_deadline, &owner);
        let unsettled: HashSet<_> = rows.values().filter(|row| !row.settled).map(|row| row.pod.clone()).collect();
        let strays = match collecting || !unsettled.is_empty() {
            true => blocking(move || strays(&owner, &unsettled)).await?,
            false => BTreeMap::new(),
        };
        let inner = Arc::new(Inner {
            store,
            plugins,
            loaded: RwLock::new(Arc::new(Loaded::nothing_yet())),
            loading: tokio::sync::Mutex::default(),
            rows: Mutex::new(rows),
            strays: Mutex::new(strays),
            pod_cidr: RwLock::new(pod_cidr.unwrap_or_default()),
            collecting: tokio::sync::RwLock::default(),
            asked: tokio::sync::Mutex::default(),
            watcher: Mutex::default(),
            config,
        });
        if inner.config.mode == Mode::Cni {
            inner.watch();
        }
        Ok(Self { inner })
    }
}

// === impl Inner ===

impl Inner {
    /// Reads the configuration, now and whenever it may have changed, until this is dropped.
    fn watch(self: &Arc<Self>) {
        let watch = Watch::new(&self.config.conf_dir);
        let weak = Arc::downgrade(self);
        let watcher = tokio::spawn(async move {
            while let Some(inner) = weak.upgrade() {
                let seen = inner.last_loaded().at;
                inner.reload(seen).await;
                drop(inner);
                watch.changed().await;
            }
        });
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
    }
}

/// What a killed daemon left at work, by pod. A collection is ended at once: its list is soon an old one.
fn strays(owner: &str, pods: &HashSet<String>) -> BTreeMap<String, Vec<Stray>> {
    let mut by_pod = BTreeMap::<_, Vec<_>>::new();
    for stray in find_strays(owner, pods) {
        match stray.pod.clone() {
            Some(pod) => by_pod.entry(pod).or_default().push(stray),
            None => stray.end_within(Duration::ZERO),
        }
    }
    by_pod
}

/// Yesterday's attachments: their namespaces are gone, what plugins keep on the disk is not.
fn take_over_boot(store: &Store, prefix: &str) -> Result<()> {
    let mut rows = store.previous_boot::<AttachmentTable>()?;
    rows.retain(|(key, _)| key.starts_with(prefix));
    if rows.is_empty() {
        return Ok(());
    }
    let keys = rows.iter().map(|(key, _)| key.clone()).collect();
    store.write_crash(move |w| {
        rows.into_iter()
            .try_for_each(|(key, row)| w.put::<AttachmentTable>(&key, &Attachment { settled: false, ..row }))
    })?;
    store.forget_previous_boot::<AttachmentTable>(keys)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.step(|| "open the network attachments".into())
}
