//! Through the real thing: the store, the book, the overlayfs plugin as a component, and the kernel's overlay.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, HashSet},
    env,
    ffi::CString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use wharf_plugins::{Content, Grants, Limits, PluginSource, Plugins, PluginsConfig, Wasm};
use wharf_snapshots::{Kind, Mounts, Snapshots};
use wharf_store::Store;

const NS: &str = "k8s.io";

/// A node's folder; a daemon on it is opened as often as one likes.
struct Node(tempfile::TempDir);

struct Daemon {
    snapshots: Snapshots,
    plugins: Plugins,
}

/// A mounted root, unmounted when dropped.
struct Mounted(PathBuf);

impl Node {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self) -> Daemon {
        let bundled = wharf_bundled::plugin("overlayfs").unwrap();
        let source = PluginSource {
            name: bundled.name.into(),
            kind: bundled.kind.parse().unwrap(),
            wasm: Wasm::Bundled(bundled.wasm),
            config: toml::Table::new(),
            grants: Grants::of(bundled.powers.iter().copied()),
            limits: Limits::default(),
        };
        let config = PluginsConfig {
            compiled_dir: self.path("compiled"),
            compiler: compiler(),
            snapshots_dir: self.path("snapshots"),
            folder: None,
            plugins: vec![source],
        };
        let plugins = Plugins::open(&config).unwrap();
        let store = Store::open(&self.path("meta.redb"), &self.path("state.redb")).unwrap();
        let snapshots = Snapshots::new(store, plugins.snapshotter("overlayfs").unwrap()).unwrap();
        Daemon { snapshots, plugins }
    }
}

impl Mounted {
    fn new(at: PathBuf, mounts: &Mounts) -> Self {
        fs::create_dir_all(&at).unwrap();
        let [only] = &mounts.mounts[..] else { panic!("one mount: {mounts:?}") };
        assert!(only.source == "overlay" || Path::new(&only.source).starts_with(&mounts.root));
        match only.type_.as_str() {
            "bind" => mount_bind(&only.source, &at).unwrap(),
            "overlay" => {
                let options = CString::new(only.options.join(",")).unwrap();
                mount("overlay", &at, "overlay", MountFlags::empty(), Some(options.as_c_str())).unwrap();
            }
            other => panic!("a mount of type {other}"),
        }
        let mounted = Self(at);
        if only.type_ == "bind" && only.options.iter().any(|option| option == "ro") {
            mount_remount(&mounted.0, MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
        }
        mounted
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.0.join(name)).ok()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

#[tokio::test]
async fn from_layers_to_a_mounted_root_and_back_to_nothing() {
    let node = Node(tempfile::tempdir().unwrap());
    let daemon = node.start();
    let snapshots = &daemon.snapshots;
    assert_eq!(snapshots.plugin(), "overlayfs");
    for (name, parent, file) in [("a", None, "one"), ("b", Some("a"), "two"), ("c", Some("b"), "three")] {
        let key = format!("unpack {name}");
        snapshots.prepare(NS, &key, parent, BTreeMap::new()).await.unwrap();
        let target = snapshots.content_dir(NS, &key).await.unwrap();
        assert_eq!(target.content, Content::OverlayDiff("fs".into()));
        assert_eq!(target.parents.len(), usize::from(file != "one") + usize::from(file == "three"));
        fs::write(target.dir.join(file), format!("{file} of {name}")).unwrap();
        fs::write(target.dir.join("newest"), name).unwrap();
        snapshots.commit(NS, name, &key).await.unwrap();
    }
    let mounts = snapshots.prepare(NS, "container", Some("c"), BTreeMap::new()).await.unwrap();
    {
        let root = Mounted::new(node.path("root"), &mounts);
        assert_eq!(root.read("one").unwrap(), "one of a");
        assert_eq!(root.read("newest").unwrap(), "c");
        fs::write(root.0.join("mine"), "written").unwrap();
        fs::remove_file(root.0.join("two")).unwrap();
    }
    assert!(snapshots.usage(NS, "container").await.unwrap().inodes >= 3);
    let view = snapshots.view(NS, "look", Some("a"), BTreeMap::new()).await.unwrap();
    {
        let root = Mounted::new(node.path("look"), &view);
        assert_eq!(root.read("newest").unwrap(), "a");
        assert!(fs::write(root.0.join("mine"), "no").is_err(), "a view is read-only");
    }
    snapshots.flush().await.unwrap();
    drop(daemon);

    // Another daemon finds all of it, and the same mounts.
    let daemon = node.start();
    let snapshots = &daemon.snapshots;
    assert_eq!(snapshots.problems().await.unwrap(), []);
    assert_eq!(snapshots.stat(NS, "c").await.unwrap().kind, Kind::Committed);
    assert_eq!(snapshots.mounts(NS, "container").await.unwrap(), mounts);
    let root = Mounted::new(node.path("root"), &mounts);
    assert_eq!((root.read("mine").as_deref(), root.read("two")), (Some("written"), None));
    drop(root);
    let stats = daemon.plugins.call_stats();
    assert!(stats.iter().any(|stat| stat.function == "mounts" && stat.calls == 1 && stat.errors == 0), "{stats:?}");

    for key in ["container", "look"] {
        snapshots.remove(NS, key).await.unwrap();
    }
    let collected = snapshots.gc(NS, &HashSet::new()).await.unwrap();
    assert_eq!(collected.removed, ["c", "b", "a"]);
    let swept = snapshots.sweep(&HashSet::new()).await.unwrap();
    assert!(swept.set_aside.is_empty() && swept.broken.is_empty(), "{swept:?}");
    let left: Vec<String> = fs::read_dir(node.path("snapshots/overlayfs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// `wharf-compile`, built like this test was.
fn compiler() -> PathBuf {
    // …/<target dir>/<profile>/deps/<this test>
    let exe = env::current_exe().unwrap();
    let profile = exe.ancestors().find(|dir| dir.join("deps").is_dir()).unwrap();
    let release = profile.file_name().is_some_and(|name| name == "release");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "wharf-compiler", "--target-dir"]);
    cargo.arg(profile.parent().unwrap()).args(release.then_some("--release"));
    cargo.current_dir(Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../.."));
    assert!(cargo.status().unwrap().success(), "build wharf-compile");
    profile.join("wharf-compile")
}
