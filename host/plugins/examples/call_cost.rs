//! What a call into the overlayfs plugin costs, beside the same work natively:
//! `cargo run --release -p wharf-plugins --example call_cost -- PATH/wharf-compile [CALLS]` prints one line of JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement has nobody to report to")]

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Instant,
};

use wharf_plugins::{Grants, Kind, LayerFacts, LayerKind, Limits, PluginSource, Plugins, PluginsConfig, Wasm};

/// Parents of the prepared layers.
const PARENTS: u64 = 10;

fn main() {
    let mut args = env::args().skip(1);
    let compiler = PathBuf::from(args.next().expect("the path of wharf-compile"));
    let calls: u64 = args.next().map_or(2000, |calls| calls.parse().expect("a number of calls"));
    let dir = tempfile::tempdir().unwrap();
    let plugins = open(dir.path(), compiler);
    let overlayfs = plugins.snapshotter("overlayfs").unwrap();
    for id in 1..=PARENTS {
        overlayfs.prepare(&facts(id, vec![])).unwrap();
    }
    let parents: Vec<u64> = (1..=PARENTS).rev().collect();
    let native_root = dir.path().join("native");
    fs::create_dir_all(native_root.join("10/fs")).unwrap();

    // In alternation, so that both meet the same machine.
    let (mut wasm, mut native, mut mounts) = (Vec::new(), Vec::new(), Vec::new());
    for id in 100..100 + calls {
        wasm.push(micros(|| drop(overlayfs.prepare(&facts(id, parents.clone())).unwrap())));
        native.push(micros(|| drop(native_prepare(&native_root, id, &parents))));
        mounts.push(micros(|| drop(overlayfs.mounts(&facts(id, parents.clone())).unwrap())));
    }
    let [wasm, native, mounts] = [wasm, native, mounts].map(Spread::of);
    println!(
        "{{\"calls\":{calls},\"parents\":{PARENTS},\"prepare_wasm_us\":{wasm},\"prepare_native_us\":{native},\
         \"mounts_wasm_us\":{mounts},\"over_native_us\":{:.1}}}",
        wasm.median - native.median
    );
}

fn open(dir: &Path, compiler: PathBuf) -> Plugins {
    let bundled = wharf_bundled::plugin("overlayfs").unwrap();
    let overlayfs = PluginSource {
        name: bundled.name.into(),
        kind: Kind::Snapshotter,
        wasm: Wasm::Bundled(bundled.wasm),
        config: toml::Table::new(),
        grants: Grants::of(bundled.powers.iter().copied()),
        limits: Limits::default(),
    };
    Plugins::open(&PluginsConfig {
        compiled_dir: dir.join("compiled"),
        compiler,
        snapshots_dir: dir.join("snapshots"),
        folder: None,
        plugins: vec![overlayfs],
    })
    .unwrap()
}

fn facts(id: u64, parents: Vec<u64>) -> LayerFacts {
    LayerFacts { id, kind: LayerKind::Active, parents, ..LayerFacts::default() }
}

/// What a snapshotter in Go or Rust does for it: look at the parent's root, make two directories, plan the mount.
fn native_prepare(root: &Path, id: u64, parents: &[u64]) -> (Vec<PathBuf>, PathBuf, PathBuf) {
    let meta = fs::metadata(root.join(parents[0].to_string()).join("fs")).unwrap();
    let layer = root.join(id.to_string());
    let (fs_dir, work) = (layer.join("fs"), layer.join("work"));
    for (dir, mode) in [(&layer, 0o700), (&work, 0o711), (&fs_dir, meta.mode() & 0o7777)] {
        fs::DirBuilder::new().mode(0o700).create(dir).unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    }
    let lowers = parents.iter().map(|parent| root.join(parent.to_string()).join("fs")).collect();
    (lowers, fs_dir, work)
}

fn micros(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1e6
}

struct Spread {
    median: f64,
    p99: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self { median: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{\"median\":{:.1},\"p99\":{:.1}}}", self.median, self.p99)
    }
}
