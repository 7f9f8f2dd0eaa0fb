use std::{
    collections::BTreeMap,
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use wharf_error::{Error, Result};
use wharf_plugins::LayerKind;
use wharf_store::{Lifetime, Table, key, prefix, split_key};

/// What a snapshot is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Writable.
    Active,
    /// A read-only look at a committed one.
    View,
    /// Read-only for ever, a parent of others.
    Committed,
}

/// The host's book about one snapshot.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) parent: Option<String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) state: State,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// Bytes and inodes, when it was committed.
    #[serde(default)]
    pub(crate) usage: Option<(u64, u64)>,
    /// The boot in which it was committed, and whether its bytes have reached the disk since.
    #[serde(default)]
    pub(crate) boot: String,
    #[serde(default)]
    pub(crate) synced: bool,
    /// Why it cannot be used.
    #[serde(default)]
    pub(crate) broken: Option<String>,
}

/// What is being done to a snapshot: everything but `Ready` is an intent. Those about committed layers are in the row
/// itself, those about active ones and views in [`Intents`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ready,
    /// To be undone if it was not finished.
    Preparing,
    /// To become committed under this name; to be repeated.
    Committing(String),
    /// To be repeated.
    Removing,
}

/// `<namespace>/<plugin>/<snapshot>`: all snapshots.
pub(crate) enum Rows {}

/// Keys as in [`Rows`]: what is being done to active snapshots and views, in place of their rows. It costs no flush, for
/// it need not outlive a power cut: then a layer that was being made is one that nobody knows, and is swept.
pub(crate) enum Intents {}

/// `<namespace>/<plugin>/<parent>\u{1f}<child>`: who stands on whom, in the same transactions as the rows.
pub(crate) enum Children {}

/// `<plugin>/<layer id>`: layers on the disk that no row knows.
pub(crate) enum Strays {}

/// A layer that nobody knows, seen by a sweep.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Stray {
    pub(crate) seen: i64,
}

impl Table for Rows {
    const NAME: &'static str = "snapshots";
    const LIFETIME: Lifetime = Lifetime::Durable;
    type Row = Row;
}

impl Table for Intents {
    const NAME: &'static str = "snapshot-intents";
    const LIFETIME: Lifetime = Lifetime::Crash;
    type Row = Row;
}

impl Table for Children {
    const NAME: &'static str = "snapshot-children";
    const LIFETIME: Lifetime = Lifetime::Durable;
    type Row = ();
}

impl Table for Strays {
    const NAME: &'static str = "snapshot-strays";
    const LIFETIME: Lifetime = Lifetime::Durable;
    type Row = Stray;
}

/// One namespace's snapshots of one plugin.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Scope {
    pub(crate) namespace: String,
    pub(crate) plugin: String,
}

/// Separates parent and child; no key has it.
const SEPARATOR: char = '\u{1f}';
/// containerd's keys and names are some dozens of bytes.
const LONGEST_KEY: usize = 1024;

// === impl Kind ===

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::View => "view",
            Self::Committed => "committed",
        })
    }
}

impl From<Kind> for LayerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Active => Self::Active,
            Kind::View => Self::View,
            Kind::Committed => Self::Committed,
        }
    }
}

// === impl Row ===

impl Row {
    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Preparing => f.write_str("being prepared"),
            Self::Committing(name) => write!(f, "being committed as {name}"),
            Self::Removing => f.write_str("being removed"),
        }
    }
}

// === impl Scope ===

impl Scope {
    pub(crate) fn row(&self, snapshot: &str) -> String {
        key(&self.namespace, &format!("{}/{snapshot}", self.plugin))
    }

    pub(crate) fn rows(&self) -> String {
        self.row("")
    }

    pub(crate) fn child(&self, parent: &str, child: &str) -> String {
        self.row(&format!("{parent}{SEPARATOR}{child}"))
    }

    /// What the child keys of `parent` start with.
    pub(crate) fn children(&self, parent: &str) -> String {
        self.child(parent, "")
    }

    /// Scope and snapshot of a key in [`Rows`].
    pub(crate) fn of(row: &str) -> Option<(Self, &str)> {
        let (namespace, rest) = split_key(row)?;
        let (plugin, snapshot) = rest.split_once('/')?;
        Some((Self { namespace: namespace.into_owned(), plugin: plugin.to_owned() }, snapshot))
    }
}

/// The key of a stray layer.
pub(crate) fn stray_key(plugin: &str, id: u64) -> String {
    key(plugin, &id.to_string())
}

/// What the keys of a plugin's strays start with.
pub(crate) fn stray_keys(plugin: &str) -> String {
    prefix(plugin)
}

/// Refuses keys that cannot be told apart from others.
pub(crate) fn check_key(snapshot: &str) -> Result<()> {
    let fault = match snapshot {
        "" => "is empty",
        _ if snapshot.len() > LONGEST_KEY => "is longer than 1024 bytes",
        _ if snapshot.contains(char::is_control) => "has a control character",
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("snapshot key {snapshot:?} {fault}")))
}

/// Now, in nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
