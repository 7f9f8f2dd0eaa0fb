use serde::{Deserialize, Serialize};

/// What a shim can do on this node, as its action `features` tells: tried, not guessed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Features {
    /// Pods with a user namespace, on the file system of the folder that was asked about.
    pub user_namespaces: bool,
    /// Mounts that are read-only with all that is mounted below them.
    pub recursive_read_only_mounts: bool,
    /// Why something is missing: one sentence each.
    pub reasons: Vec<String>,
}
