use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use oci_spec::image::ImageConfiguration;
use tokio::sync::{RwLock, Semaphore};
use wharf_error::{Kind, Result, ResultExt as _};
use wharf_registry::{Client, Reference};
use wharf_snapshots::Snapshots;
use wharf_store::{Store, key};

use crate::{
    Image, ImagesConfig,
    book::{Book, Entry, NamespaceRow, Namespaces},
    content::Content,
    flights::Flights,
    fs_info::FsInfoCache,
    leases::Leases,
    platform::Host,
    scratch::Keys,
    spool::Spools,
};

/// What all verbs share.
pub(crate) struct Core {
    pub config: ImagesConfig,
    pub store: Store,
    pub snapshots: Snapshots,
    pub client: Client,
    pub content: Content,
    pub spools: Spools,
    pub host: Host,
    pub flights: Flights,
    pub leases: Leases,
    pub keys: Keys,
    pub unpacks: Arc<Semaphore>,
    /// Written by a collection of garbage, read by whoever is about to need what might be collected.
    pub garbage: RwLock<()>,
    pub fs_info: FsInfoCache,
    configurations: Mutex<HashMap<String, Arc<ImageConfiguration>>>,
    namespaces: Mutex<HashSet<String>>,
}

// === impl Core ===

impl Core {
    pub fn new(store: Store, snapshots: Snapshots, client: Client, config: ImagesConfig) -> Result<Self> {
        let content = Content::open(&config.content_dir)?;
        Ok(Self {
            spools: Spools::new(content.ingest()),
            content,
            unpacks: Arc::new(Semaphore::new(config.max_concurrent_unpacks.max(1))),
            config,
            store,
            snapshots,
            client,
            host: Host::here(),
            flights: Flights::default(),
            leases: Leases::default(),
            keys: Keys::default(),
            garbage: RwLock::default(),
            fs_info: FsInfoCache::default(),
            configurations: Mutex::default(),
            namespaces: Mutex::default(),
        })
    }

    /// The images of a namespace as recorded.
    pub async fn book(&self, namespace: &str) -> Result<Book> {
        let namespace = namespace.to_owned();
        self.store.query(move |reader| Book::read(reader, &namespace)).await
    }

    /// Whether a layer is a committed snapshot that can be used.
    pub async fn has_layer(&self, namespace: &str, chain_id: &str) -> Result<bool> {
        match self.snapshots.stat(namespace, chain_id).await {
            Ok(info) => Ok(info.broken.is_none() && info.kind == wharf_snapshots::Kind::Committed),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Records, once, that a namespace has images.
    pub async fn enter(&self, namespace: &str) -> Result<()> {
        if self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).contains(namespace) {
            return Ok(());
        }
        let row = key(namespace, "");
        self.store.durable(move |writer| writer.put::<Namespaces>(&row, &NamespaceRow {})).await?;
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned());
        Ok(())
    }

    /// Puts rows together to images. Configurations that are not in memory are read from the disk.
    pub async fn assemble(self: &Arc<Self>, entries: Vec<Entry>) -> Result<Vec<Image>> {
        let core = self.clone();
        let assembled = tokio::task::spawn_blocking(move || {
            entries.into_iter().map(|entry| core.image(entry)).collect::<Result<Vec<_>>>()
        });
        assembled.await.step(|| "images: a blocking thread ended early".into())?
    }

    fn image(&self, entry: Entry) -> Result<Image> {
        let config = self.configuration(&entry).step(|| format!("image {}", entry.id))?;
        let newest = entry.names.iter().max_by_key(|(_, name)| name.updated);
        let target = newest.map_or(&entry.row.target, |(_, name)| &name.target).clone();
        let is_digest = |name: &str| name.parse::<Reference>().is_ok_and(|name| name.digest().is_some());
        let all = entry.names.into_iter().map(|(name, _)| name);
        let (digests, names): (Vec<String>, Vec<String>) = all.partition(|name| is_digest(name));
        Ok(Image {
            pinned: names.iter().chain(&digests).any(|name| self.config.pinned.contains(name)),
            id: entry.id,
            names,
            digests,
            target,
            size: entry.row.size,
            config: (*config).clone(),
            chain_id: entry.row.chain.last().cloned().unwrap_or_default(),
        })
    }

    fn configuration(&self, entry: &Entry) -> Result<Arc<ImageConfiguration>> {
        if let Some(known) = self.configurations.lock().unwrap_or_else(PoisonError::into_inner).get(&entry.id) {
            return Ok(known.clone());
        }
        let bytes = self.content.expect(entry.row.config.digest())?;
        let parsed = serde_json::from_slice(&bytes).step_as(Kind::DataLoss, || "read the configuration".into())?;
        let parsed: Arc<ImageConfiguration> = Arc::new(parsed);
        let mut known = self.configurations.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(entry.id.clone(), parsed.clone());
        Ok(parsed)
    }

    /// Forgets configurations of images that are gone.
    pub fn forget(&self, ids: &[String]) {
        let mut known = self.configurations.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().for_each(|id| drop(known.remove(id)));
    }
}
