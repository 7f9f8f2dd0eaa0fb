//! Images on real snapshots in temporary folders, laid out by a small backend of the test's own.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

mod backend;
mod gate;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use wharf_images::{Image, Images, ImagesConfig};
use wharf_registry::{Client, ClientConfig, Reference};
use wharf_snapshots::Snapshots;
use wharf_store::Store;

pub use self::{backend::Directories, gate::Gate};

pub const NS: &str = "k8s.io";

/// A node's folders; [`Node::open`] opens them, and again after it was dropped.
pub struct Node {
    pub dir: tempfile::TempDir,
    pub ordered: bool,
}

pub struct Opened {
    pub images: Images,
    pub snapshots: Snapshots,
    pub store: Store,
    root: std::path::PathBuf,
}

impl Node {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), ordered: false }
    }

    pub async fn open(&self) -> Opened {
        self.open_with(|_| {}).await
    }

    pub async fn open_with(&self, change: impl FnOnce(&mut ImagesConfig)) -> Opened {
        let root = self.dir.path().to_owned();
        let snapshots_dir = root.join("snapshots");
        fs::create_dir_all(&snapshots_dir).unwrap();
        let store = Store::open(&root.join("meta.redb"), &root.join("state.redb")).unwrap();
        let backend = Arc::new(Directories::new(&snapshots_dir, self.ordered));
        let snapshots = Snapshots::with_backend(store.clone(), backend).unwrap();
        let client = Client::new(ClientConfig {
            certs_d: root.join("certs.d"),
            progress_timeout: Duration::from_secs(20),
            backoff: Duration::from_millis(5),
            ..ClientConfig::default()
        });
        let mut config = ImagesConfig::new(root.join("content"));
        // Most tests want to see that nothing is left, not that it is kept for a while.
        config.resume_window = Duration::ZERO;
        change(&mut config);
        let images = Images::open(store.clone(), snapshots.clone(), client.unwrap(), config).await.unwrap();
        Opened { images, snapshots, store, root }
    }
}

impl Opened {
    pub async fn pull(&self, name: &str) -> wharf_error::Result<Image> {
        self.images.pull(NS, &reference(name), None, None).await
    }

    /// What is there of images, in words: nothing is an empty list.
    pub async fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = Vec::new();
        left.extend(self.images.list(NS).await.unwrap().into_iter().map(|image| format!("image {}", image.id)));
        left.extend(self.snapshots.list(NS).await.unwrap().into_iter().map(|info| format!("snapshot {}", info.key)));
        for folder in ["snapshots", "content/blobs/sha256", "content/blobs/sha512", "content/ingest"] {
            for entry in fs::read_dir(self.root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                // The mark that the folder is this store's.
                if !name.starts_with('.') {
                    left.push(format!("{folder}/{name}"));
                }
            }
        }
        left
    }

    /// Waits until a condition holds that background work brings about.
    pub async fn until_nothing_is_left(&self) {
        for _ in 0..1000 {
            if self.left().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("left: {:?}", self.left().await);
    }

    /// Runs a shell script in the image's mounted root, in a mount namespace of its own; its output.
    pub async fn look(&self, image: &Image, script: &str) -> String {
        let key = format!("look-{}", image.id);
        let mounts = self.snapshots.view(NS, &key, Some(&image.chain_id), BTreeMap::new()).await.unwrap();
        let mount = mounts.mounts.last().unwrap();
        let target = tempfile::tempdir().unwrap();
        let options = mount.options.join(",");
        let mount = match mount.type_.as_str() {
            "overlay" => format!("mount -t overlay -o '{options}' overlay ."),
            _ => format!("mount --bind '{}' .", mount.source),
        };
        let script = format!("set -e; cd '{}'; {mount}; cd \"$PWD\"; {script}", target.path().display());
        let out = std::process::Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &script])
            .output()
            .unwrap();
        self.snapshots.remove(NS, &key).await.unwrap();
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }
}

pub fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

/// The chain IDs of all committed snapshots.
pub async fn committed(opened: &Opened) -> Vec<String> {
    opened.snapshots.list(NS).await.unwrap().into_iter().map(|info| info.key).collect()
}

pub fn unpack_tar(archive: &Path, into: &Path) {
    tar::Archive::new(fs::File::open(archive).unwrap()).unpack(into).unwrap();
}
