/// What a snapshotter is told about one layer. The host's own facts: a plugin keeps no book of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LayerFacts {
    /// Reserved durably by the host, never used twice on one node.
    pub id: u64,
    /// What the layer is, or is about to be.
    pub kind: LayerKind,
    /// Its parents, nearest first, all committed.
    pub parents: Vec<u64>,
    /// `containerd.io/snapshot/…` and the plugin's own.
    pub labels: Vec<(String, String)>,
    /// Bytes that the layer may grow to; none: no limit.
    pub quota: Option<u64>,
    /// How the container's user ids map to the host's; empty: as they are.
    pub uid_map: Vec<IdRange>,
    /// How the container's group ids map to the host's; empty: as they are.
    pub gid_map: Vec<IdRange>,
}

/// The three states of a layer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum LayerKind {
    /// Writable, on the way to become committed or the top of a container.
    #[default]
    Active,
    /// A read-only look at a committed parent.
    View,
    /// Read-only for ever; other layers stand on it.
    Committed,
}

/// One range of mapped ids.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IdRange {
    /// First id inside.
    pub container: u32,
    /// First id on the host.
    pub host: u32,
    /// How many.
    pub length: u32,
}

/// What a layer takes, parents not counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Bytes allocated on the disk.
    pub bytes: u64,
    /// Files, directories and the like; a file with several names counts once.
    pub inodes: u64,
}
