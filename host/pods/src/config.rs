use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Handler;

/// Where pods live and how long each step with a shim may take.
#[derive(Clone, Debug)]
pub struct PodsConfig {
    /// The containerd namespace of these pods: `k8s.io` for CRI.
    pub namespace: String,
    /// The state folder; each pod's bundle is `<state>/pods/<id>`.
    pub state: PathBuf,
    /// The supervisor's binary, `containerd-shim-wharf-v1`.
    pub shim: PathBuf,
    /// The daemon's gRPC socket; shims forward their events to `<address>.ttrpc`.
    pub address: PathBuf,
    /// Who makes the control groups of pods.
    pub cgroup_driver: CgroupDriver,
    /// The control group below which a pod lives whose request names none: `<cgroup_parent>/<pod id>`; with
    /// [`CgroupDriver::Systemd`] the name of a slice.
    pub cgroup_parent: String,
    /// Whether a pod in a control group of its client's gets an empty one with its id below that, by which cAdvisor knows
    /// the pod.
    pub marks: bool,
    /// The runtime handlers by name.
    pub handlers: BTreeMap<String, Handler>,
    /// The name of the runtime handler that the empty name stands for: one of `handlers`.
    pub default_handler: String,
    /// Longest line of a container's log, in bytes; longer ones are split and marked `P`.
    pub max_log_line: usize,
    /// Whether a container's overlay is mounted `volatile`, so that its end does not sync the whole disk.
    pub volatile: bool,
    /// How many events wait for a listener that does not read, before its stream ends with an error.
    pub event_buffer: usize,
    /// How long a shim may take to start and to answer a call that waits for nothing else.
    pub shim_deadline: Duration,
    /// How long whoever asks waits for any one step of what is asked, before the answer is that step's name. The step, which
    /// may sit in a file system that does not answer, goes on; the same call again waits anew.
    pub step_deadline: Duration,
    /// How long a killed container may take to be gone before its removal fails.
    pub kill_deadline: Duration,
}

/// Who makes the control groups of pods, and so what a client's name for one is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    /// We do: a name is a path.
    Cgroupfs,
    /// systemd does, a scope a pod: a name is a slice.
    Systemd,
}

impl CgroupDriver {
    /// As the configurations of kubelet and runtimes call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroupfs => "cgroupfs",
            Self::Systemd => "systemd",
        }
    }
}

impl PodsConfig {
    /// A configuration with the defaults of a node, for the given folders.
    pub fn new(state: PathBuf, shim: PathBuf, address: PathBuf) -> Self {
        Self {
            namespace: "k8s.io".into(),
            state,
            shim,
            address,
            cgroup_driver: CgroupDriver::Cgroupfs,
            cgroup_parent: "/wharf".into(),
            marks: false,
            handlers: BTreeMap::from([("native".into(), Handler::Native)]),
            default_handler: "native".into(),
            max_log_line: 16 * 1024,
            volatile: true,
            event_buffer: 1000,
            shim_deadline: Duration::from_secs(30),
            step_deadline: Duration::from_secs(100),
            kill_deadline: Duration::from_secs(30),
        }
    }
}
