use std::{path::PathBuf, time::Duration};

/// Where networks are configured, and how plugins are run.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The containerd namespace of the pods.
    pub namespace: String,
    /// What a pod with a network namespace of its own gets.
    pub mode: Mode,
    /// The folder of network configurations: the first files by name count.
    pub conf_dir: PathBuf,
    /// Where plugins are looked for, in this order.
    pub bin_dirs: Vec<PathBuf>,
    /// How many networks a pod is attached to, as eth0, eth1 and so on; 0: every one that is configured.
    pub max_networks: usize,
    /// How long one plugin may take for one verb.
    pub plugin_deadline: Duration,
    /// Whether plugins are told at the start which attachments there are, so that they free all others (CNI 1.1).
    pub gc: bool,
    /// Which address is a pod's first one.
    pub prefer: Family,
}

/// What a pod with a network namespace of its own gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// What the node's CNI configuration says; without one, such pods are refused.
    Cni,
    /// Its loopback and nothing else; no plugin is run.
    Loopback,
}

/// Which address of several is the pod's first one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// The first IPv4 address.
    Ipv4,
    /// The first IPv6 address.
    Ipv6,
    /// In the order in which the plugins name them.
    Cni,
}

// === impl NetworkConfig ===

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            namespace: "k8s.io".into(),
            mode: Mode::Cni,
            conf_dir: "/etc/cni/net.d".into(),
            bin_dirs: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
            max_networks: 1,
            plugin_deadline: Duration::from_secs(60),
            gc: true,
            prefer: Family::Ipv4,
        }
    }
}
