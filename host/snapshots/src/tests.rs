//! Snapshots over a backend that keeps real directories, records its calls, and fails or stops at will.

mod backend;
mod cuts;
mod disk;
mod failures;
mod life;
mod measured;
mod together;

use std::{collections::BTreeMap, sync::Arc};

use tempfile::TempDir;
use wharf_store::Store;

use self::backend::Directories;
use crate::{
    Snapshots,
    probe::{NoProbe, Probe},
};

const NS: &str = "k8s.io";

/// One node: its folders outlive the daemon.
struct Node(TempDir);

/// One run of a daemon on it.
struct Daemon {
    snapshots: Snapshots,
    backend: Arc<Directories>,
    store: Store,
}

impl Node {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> Store {
        Store::open(&self.0.path().join("meta.redb"), &self.0.path().join("state.redb")).unwrap()
    }

    fn backend(&self) -> Directories {
        Directories::new(&self.0.path().join("snapshots/dirs"))
    }

    fn start(&self) -> Daemon {
        self.start_with(self.backend(), Arc::new(NoProbe))
    }

    fn start_with(&self, backend: Directories, probe: Arc<dyn Probe>) -> Daemon {
        let (backend, store) = (Arc::new(backend), self.store());
        let snapshots = Snapshots::with_probe(store.clone(), backend.clone(), probe).unwrap();
        Daemon { snapshots, backend, store }
    }
}

impl Daemon {
    /// Layer `name` on `parent`, committed.
    async fn layer(&self, name: &str, parent: Option<&str>) {
        let key = format!("unpack {name}");
        self.snapshots.prepare(NS, &key, parent, none()).await.unwrap();
        self.snapshots.commit(NS, name, &key).await.unwrap();
    }

    async fn keys(&self) -> Vec<String> {
        self.snapshots.list(NS).await.unwrap().into_iter().map(|info| info.key).collect()
    }

    /// The book says what the disk has, and nothing is left to do.
    async fn assert_whole(&self) {
        let mut book: Vec<u64> = self.snapshots.list(NS).await.unwrap().into_iter().map(|info| info.id).collect();
        book.sort_unstable();
        assert_eq!(book, self.backend.on_disk(), "book and disk");
        assert_eq!(self.snapshots.problems().await.unwrap(), []);
    }
}

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}
