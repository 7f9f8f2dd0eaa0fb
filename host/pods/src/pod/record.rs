use std::{collections::BTreeMap, path::PathBuf};

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};
use wharf_network::NetworkRequest;
use wharf_shim_api::SandboxOptions;

use super::scope::PodScope;

/// What tells one pod from another in the words of its client.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PodMetadata {
    /// The pod's name.
    pub name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// Its Kubernetes uid.
    pub uid: String,
    /// How often the kubelet has made this pod before.
    pub attempt: u32,
}

impl PodMetadata {
    /// The key under which a retry finds its first try.
    pub(crate) fn key(&self) -> String {
        format!("pod {}_{}_{}_{}", self.name, self.namespace, self.uid, self.attempt)
    }
}

/// What a client asks of [`Pods::run_pod`](crate::Pods::run_pod).
#[derive(Clone, Debug)]
pub struct PodRequest {
    /// Name, namespace, uid and attempt: together the pod's identity.
    pub metadata: PodMetadata,
    /// Labels, kept and filtered by.
    pub labels: BTreeMap<String, String>,
    /// Annotations, kept as they are.
    pub annotations: BTreeMap<String, String>,
    /// The runtime handler's name; empty is the default one.
    pub runtime_handler: String,
    /// The folder of the containers' logs on the host; may be empty.
    pub log_directory: PathBuf,
    /// What the shim is to hold: namespaces, hostname, sysctls. `netns_path` is filled in here.
    pub sandbox: SandboxOptions,
    /// What its network is made from, where it has one of its own.
    pub network: NetworkRequest,
    /// Lines of the generated `resolv.conf`; none: the host's own file is copied.
    pub resolv_conf: Option<String>,
    /// The client's request, encoded: kept, and compared when the same pod is asked for again.
    pub request: Vec<u8>,
}

/// Whether containers can be made in a pod.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum PodState {
    /// Its namespaces are there and its shim answers.
    Ready,
    /// It was stopped, or its shim is gone.
    NotReady,
}

/// Where a pod is in its life: what a new daemon has to do about it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Stage {
    /// Being made; a new daemon undoes it.
    Making,
    /// Made.
    Made,
    /// Stopped: no process, no namespace, no shim; its record is all there is.
    Stopped,
    /// Being removed; a new daemon goes on with it.
    Removing,
}

/// A pod as it is now.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Pod {
    /// 64 hex digits.
    pub id: String,
    /// The client's own name for it.
    pub metadata: PodMetadata,
    /// As requested.
    pub labels: BTreeMap<String, String>,
    /// As requested.
    pub annotations: BTreeMap<String, String>,
    /// As requested: empty where the default was meant.
    pub runtime_handler: String,
    /// As requested.
    pub log_directory: PathBuf,
    /// What the shim holds for it.
    pub sandbox: SandboxOptions,
    /// Nanoseconds since 1970.
    pub created_at: i64,
    /// The process id of the shim; none once it is gone.
    pub pid: Option<u32>,
    /// The client's request, encoded.
    #[serde(with = "crate::store::bytes")]
    pub request: Vec<u8>,
    /// The limits of the whole pod, where they were changed since.
    #[serde(default)]
    pub limits: Option<LinuxResources>,
    pub(crate) stage: Stage,
    /// The shim's socket.
    pub(crate) address: String,
    /// Whether the pod's control group is ours to remove.
    pub(crate) owns_cgroup: bool,
    /// The unit of systemd's that the pod's control group is, where it is one.
    #[serde(default)]
    pub(crate) scope: Option<PodScope>,
}

impl Pod {
    /// Whether containers can be made in it.
    pub fn state(&self) -> PodState {
        match self.stage {
            Stage::Made => PodState::Ready,
            Stage::Making | Stage::Stopped | Stage::Removing => PodState::NotReady,
        }
    }

    /// The pinned network namespace, where the pod has one of its own.
    pub fn netns(&self) -> Option<&str> {
        self.sandbox.netns_path.as_deref()
    }
}
