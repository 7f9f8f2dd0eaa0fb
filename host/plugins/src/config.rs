use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use crate::Kind;

/// What [`Plugins::open`](crate::Plugins::open) needs to know.
#[derive(Clone, Debug)]
pub struct PluginsConfig {
    /// Our own compiled code, and nothing else: made 0700. What does not match is compiled again.
    pub compiled_dir: PathBuf,
    /// The program `wharf-compile`.
    pub compiler: PathBuf,
    /// Where each snapshotter has its folder, by its name: the one place on the disk that it can reach.
    pub snapshots_dir: PathBuf,
    /// A file `<name>.wasm` here takes the place of what a source names as bundled.
    pub folder: Option<PathBuf>,
    /// The plugins to load, in the order in which they are listed.
    pub plugins: Vec<PluginSource>,
}

/// One plugin, as the operator configured it.
#[derive(Clone, Debug)]
pub struct PluginSource {
    /// Its name on this node: lower-case letters, digits, `-`; the first one a letter.
    pub name: String,
    /// What it must be.
    pub kind: Kind,
    /// Where its component is.
    pub wasm: Wasm,
    /// Its own table of the configuration, checked by the plugin before it is taken.
    pub config: toml::Table,
    /// Which powers it gets.
    pub grants: Grants,
    /// How much it may use.
    pub limits: Limits,
}

/// Where a component comes from.
#[derive(Clone, Debug)]
pub enum Wasm {
    /// Carried inside the binary; a file of the plugin's name in the folder takes its place.
    Bundled(&'static [u8]),
    /// This file.
    File(PathBuf),
}

/// The operator's word on each power that a plugin imports.
///
/// An import that is in neither set is an error at load, which says what to write. Names are those of the
/// interfaces, with or without their package: `layer-dir`, `wharf:snapshotter/layer-dir`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grants {
    /// Linked.
    pub granted: BTreeSet<String>,
    /// Linked to an answer `not-granted`, so that a plugin can go on without it.
    pub refused: BTreeSet<String>,
}

/// What one call may use. A call that needs more fails, and with it the operation it was made for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Linear memory of all the component's modules together, in bytes; each alone has 1 GiB at most.
    pub memory: usize,
    /// For each function by its WIT name, how long a call may take, host functions included.
    pub deadlines: BTreeMap<String, Duration>,
    /// The same for every function that is not named.
    pub deadline: Duration,
    /// Bytes that one call may write to the log.
    pub log_bytes: usize,
}

// === impl Grants ===

impl Grants {
    /// Grants these powers and refuses none.
    pub fn of<'a>(powers: impl IntoIterator<Item = &'a str>) -> Self {
        Self { granted: powers.into_iter().map(str::to_owned).collect(), refused: BTreeSet::new() }
    }
}

// === impl Limits ===

impl Limits {
    /// How long a call of this function may take.
    pub fn deadline(&self, function: &str) -> Duration {
        self.deadlines.get(function).copied().unwrap_or(self.deadline)
    }
}

impl Default for Limits {
    /// 64 MiB of memory; 10 s a call, and 2 minutes for what may copy or walk a whole layer (`prepare`, `commit`,
    /// `measure`); 64 KiB of log a call.
    fn default() -> Self {
        let long = Duration::from_secs(120);
        Self {
            memory: 64 << 20,
            deadlines: ["prepare", "commit", "measure"].map(|function| (function.to_owned(), long)).into(),
            deadline: Duration::from_secs(10),
            log_bytes: 64 << 10,
        }
    }
}
