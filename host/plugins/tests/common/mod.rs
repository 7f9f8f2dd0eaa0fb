//! What the tests of this crate share.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use wharf_plugins::{Grants, Kind, LayerFacts, LayerKind, PluginSource, Plugins, PluginsConfig, Wasm};

/// A node's folders, gone with the value.
pub struct Node {
    dir: tempfile::TempDir,
    pub config: PluginsConfig,
}

impl Node {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = PluginsConfig {
            compiled_dir: dir.path().join("compiled"),
            compiler: compiler(),
            snapshots_dir: dir.path().join("snapshots"),
            folder: Some(dir.path().join("plugins")),
            plugins: Vec::new(),
        };
        Self { dir, config }
    }

    /// With the overlayfs plugin that ships.
    pub fn overlayfs() -> Self {
        let mut node = Self::new();
        node.config.compiled_dir = kept("overlayfs");
        node.config.plugins.push(overlayfs());
        node
    }

    /// With the hostile one, which does as it is told in TOML (`prepare = "spin"`) and has all that can be granted.
    pub fn hostile(does: &str) -> Self {
        let mut node = Self::new();
        node.config.compiled_dir = kept("hostile");
        node.config.plugins.push(hostile(does));
        node
    }

    /// With nothing compiled yet: for who tests that.
    pub fn cold(mut self) -> Self {
        self.config.compiled_dir = self.path("compiled");
        self
    }

    pub fn open(&self) -> Plugins {
        Plugins::open(&self.config).unwrap()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }
}

/// Kept from test to test and run to run, below the target directory: a debug build of the compiler is slow.
fn kept(plugin: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled").join(plugin)
}

pub fn overlayfs() -> PluginSource {
    let bundled = wharf_bundled::plugin("overlayfs").unwrap();
    PluginSource {
        name: bundled.name.into(),
        kind: bundled.kind.parse().unwrap(),
        wasm: Wasm::Bundled(bundled.wasm),
        config: toml::Table::new(),
        grants: Grants::of(bundled.powers.iter().copied()),
        limits: wharf_plugins::Limits::default(),
    }
}

pub fn hostile(does: &str) -> PluginSource {
    let mut grants = Grants::of(["layer-dir"]);
    grants.refused.insert("thing".into());
    PluginSource {
        name: "hostile".into(),
        kind: Kind::Snapshotter,
        wasm: Wasm::Bundled(wharf_test_guests::HOSTILE),
        config: toml::Table::from_iter([("does".to_owned(), toml::Value::Table(does.parse().unwrap()))]),
        grants,
        limits: wharf_plugins::Limits::default(),
    }
}

pub fn layer(id: u64, kind: LayerKind, parents: &[u64]) -> LayerFacts {
    LayerFacts { id, kind, parents: parents.to_vec(), ..LayerFacts::default() }
}

pub fn active(id: u64, parents: &[u64]) -> LayerFacts {
    layer(id, LayerKind::Active, parents)
}

/// `wharf-compile`, built like this test was.
pub fn compiler() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build_compiler).clone()
}

fn build_compiler() -> PathBuf {
    // …/<target dir>/<profile>/deps/<this test>
    let exe = env::current_exe().unwrap();
    let profile_dir = exe.ancestors().find(|dir| dir.join("deps").is_dir()).unwrap();
    let release = profile_dir.file_name().is_some_and(|name| name == "release");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "wharf-compiler", "--target-dir"]);
    cargo.arg(profile_dir.parent().unwrap()).args(release.then_some("--release"));
    cargo.current_dir(Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../.."));
    assert!(cargo.status().unwrap().success(), "build wharf-compile");
    profile_dir.join("wharf-compile")
}
