use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::OtherShim;

/// The type URL of [`SandboxOptions`] in `CreateSandboxRequest.options`.
pub const SANDBOX_OPTIONS_TYPE_URL: &str = "wharf.shim.v1/SandboxOptions";

/// The type URL of [`CreateOptions`] in `CreateTaskRequest.options`.
pub const CREATE_OPTIONS_TYPE_URL: &str = "wharf.shim.v1/CreateOptions";

/// What a pod is to the shim. A field that is absent in the JSON has its default: an old daemon and a
/// new shim, and the other way round, understand each other.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct SandboxOptions {
    /// The name in the pod's UTS namespace. Empty: the node's own UTS namespace is used.
    pub hostname: String,
    /// Whose network the containers use.
    pub network: Namespace,
    /// Whose System V IPC and POSIX message queues they use.
    pub ipc: Namespace,
    /// Whose processes they see.
    pub pid: Namespace,
    /// Where a network namespace of the pod's own is pinned (`/run/netns/wharf-<pod id>`); needed when
    /// `network` is [`Namespace::Pod`].
    pub netns_path: Option<String>,
    /// The user namespace of the pod's containers, which owns the pod's own namespaces, too; none: the node's.
    pub user_namespace: Option<UserMappings>,
    /// Kernel parameters set in the pod's namespaces, names with dots.
    pub sysctls: BTreeMap<String, String>,
    /// The cgroup that holds the pod's containers, absolute in each hierarchy; removed with the pod.
    pub cgroup_parent: String,
    /// Keep a process that does nothing but be there, for a cgroup that is made around one, as a scope of systemd's is: whoever
    /// asks for it makes and removes `cgroup_parent`. Its id is in the status, [`HOLDER`](crate::HOLDER).
    pub holder: bool,
}

/// Who the users and groups of a user namespace are on the node.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct UserMappings {
    /// Users.
    pub uids: Vec<IdRange>,
    /// Groups.
    pub gids: Vec<IdRange>,
}

/// A range of ids: `container` is `host` on the node, and so on for `size` ids.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct IdRange {
    /// The first id in the user namespace.
    pub container: u32,
    /// The first id on the node.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// Whose namespace it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// The node's.
    Node,
    /// One for the pod, shared by its containers.
    #[default]
    Pod,
    /// One for each container.
    Container,
}

/// An OCI runtime: a program with runc's command line.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct OciRuntime {
    /// The program.
    pub path: PathBuf,
    /// Options before the verb, as it takes them: never `--root` and `--log`, which are the shim's.
    pub options: Vec<String>,
    /// Where it keeps its state.
    pub root: PathBuf,
}

/// What a container's creation needs beside its `config.json`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct CreateOptions {
    /// The snapshotter's root folder: every path of the root file system's mounts is opened beneath it.
    /// Absent: only for callers that name single directories, as containerd's own clients do.
    pub root: Option<PathBuf>,
    /// Mount an overlay without syncing it: its upper directory is never used again after a crash.
    pub volatile: bool,
    /// The root's files belong to the node's ids: mount it for the container's user namespace. Without, whoever prepared
    /// the root has seen to that.
    pub idmapped_root: bool,
    /// Make the container by this command line instead of ourselves.
    pub oci: Option<OciRuntime>,
    /// Have another shim make it instead.
    pub other: Option<OtherShim>,
    /// Do not add the groups that the image's `/etc/group` gives the user (CRI's policy `Strict`).
    pub strict_groups: bool,
    /// Its PID namespace is its own although the pod's containers share one.
    pub own_pids: bool,
    /// Folders that the root has, made where they are missing: the volumes that the image declares.
    pub folders: Vec<PathBuf>,
    /// Sources of bind mounts of the specification that are no paths: other images.
    pub image_mounts: Vec<ImageMount>,
}

/// An image that is mounted into a container, read-only.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ImageMount {
    /// The destination of the specification's bind mount whose source it is.
    pub destination: PathBuf,
    /// containerd's mounts, as for a root file system.
    pub layers: Vec<LayerMount>,
    /// The path inside of it that is mounted; symlinks on the way stay inside. Empty: all of it.
    pub sub_path: PathBuf,
}

/// One of containerd's mounts.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct LayerMount {
    /// `bind` or `overlay`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The directory of a bind.
    pub source: String,
    /// Its options.
    pub options: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_unknown_fields_are_tolerated() {
        let options: SandboxOptions = serde_json::from_str(r#"{"network":"node","later":1}"#).unwrap();
        assert_eq!(options.network, Namespace::Node);
        assert_eq!(options.ipc, Namespace::Pod);
        assert!(serde_json::from_str::<SandboxOptions>(r#"{"network":"elsewhere"}"#).is_err());
        assert_eq!(serde_json::from_str::<CreateOptions>("{}").unwrap(), CreateOptions::default());
    }
}
