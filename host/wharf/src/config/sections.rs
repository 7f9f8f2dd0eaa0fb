use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use wharf_pods::CgroupDriver;
use wharf_registry::{DockerConfig, Reference};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) root: PathBuf,
    pub(crate) state: PathBuf,
    /// None: `<state>/wharf.sock`.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) log: Log,
    pub(crate) cri: Cri,
    pub(crate) containerd: Containerd,
    pub(crate) network: Network,
    pub(crate) streaming: Streaming,
    pub(crate) registry: Registry,
    pub(crate) snapshotter: Snapshotter,
    pub(crate) plugins: Plugins,
    pub(crate) runtime: Runtime,
    runtimes: BTreeMap<String, Handler>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cri {
    pub(crate) cgroup_driver: CgroupDriver,
    /// None: `/wharf`, and with systemd `wharf.slice`.
    pub(crate) cgroup_parent: Option<String>,
    pub(crate) max_log_line: usize,
    pub(crate) event_buffer: usize,
    pub(crate) cdi_spec_dirs: Vec<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Containerd {
    /// None: `<state>/containerd.sock`; empty: not served.
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Network {
    pub(crate) mode: NetworkMode,
    pub(crate) cni_conf_dir: PathBuf,
    pub(crate) cni_bin_dirs: Vec<PathBuf>,
    /// 0: all.
    pub(crate) max_conf: usize,
    /// Seconds.
    pub(crate) plugin_timeout: u64,
    pub(crate) gc: bool,
    pub(crate) prefer: AddressFamily,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NetworkMode {
    Cni,
    Loopback,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AddressFamily {
    Ipv4,
    Ipv6,
    Cni,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Streaming {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// Seconds.
    pub(crate) idle_timeout: u64,
    /// With `tls_key`; none: no TLS.
    pub(crate) tls_certificate: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) tls_client_ca: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Registry {
    pub(crate) certs_d: PathBuf,
    pub(crate) max_concurrent_downloads: usize,
    pub(crate) max_concurrent_unpacks: usize,
    /// Seconds.
    pub(crate) progress_timeout: u64,
    /// Seconds.
    pub(crate) abandon_after: u64,
    /// Seconds.
    pub(crate) resume_window: u64,
    pub(crate) max_layer_bytes: u64,
    pub(crate) max_image_bytes: u64,
    pinned_images: Vec<String>,
    /// None: where Docker keeps it; empty: nowhere.
    auth_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Snapshotter {
    pub(crate) name: String,
    pub(crate) volatile: bool,
}

/// `[plugins]`: the folder, and a table a plugin under its name.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Plugins {
    pub(crate) dir: PathBuf,
    #[serde(flatten)]
    pub(crate) plugins: BTreeMap<String, Plugin>,
}

/// `[plugins.NAME]`: what is not said is the host's default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plugin {
    pub(crate) grant: Vec<String>,
    pub(crate) refuse: Vec<String>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) long_deadline_ms: Option<u64>,
    pub(crate) memory_mib: Option<u64>,
    pub(crate) config: toml::Table,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Runtime {
    shim: Option<PathBuf>,
    compiler: Option<PathBuf>,
    /// Seconds.
    pub(crate) shim_deadline: u64,
    /// Seconds.
    pub(crate) step_deadline: u64,
    /// Seconds.
    pub(crate) kill_deadline: u64,
    pub(crate) default_handler: String,
}

/// `[runtimes.NAME]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Handler {
    /// The pods' own shim.
    Native {},
    /// A program with runc's command line.
    Oci {
        path: PathBuf,
        #[serde(default)]
        options: Vec<String>,
        #[serde(default)]
        pod_annotations: Vec<String>,
        #[serde(default)]
        container_annotations: Vec<String>,
    },
    /// Another shim of containerd's protocol.
    Shim {
        path: PathBuf,
        binary: Option<PathBuf>,
        config: Option<PathBuf>,
        #[serde(default)]
        pod_annotations: Vec<String>,
        #[serde(default)]
        container_annotations: Vec<String>,
    },
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            root: "/var/lib/wharf".into(),
            state: "/run/wharf".into(),
            socket: None,
            log: Log::default(),
            cri: Cri::default(),
            containerd: Containerd::default(),
            network: Network::default(),
            streaming: Streaming::default(),
            registry: Registry::default(),
            snapshotter: Snapshotter::default(),
            plugins: Plugins::default(),
            runtime: Runtime::default(),
            runtimes: BTreeMap::new(),
        }
    }
}

impl Config {
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.state.join("wharf.sock"))
    }

    pub(crate) fn containerd_socket(&self) -> Option<PathBuf> {
        let socket = self.containerd.socket.clone().unwrap_or_else(|| self.state.join("containerd.sock"));
        Some(socket).filter(|socket| !socket.as_os_str().is_empty())
    }

    /// With what follows from other keys written out.
    pub(crate) fn settled(self) -> Self {
        let (socket, runtimes) = (Some(self.socket()), self.runtimes());
        let containerd = Containerd { socket: Some(self.containerd_socket().unwrap_or_default()) };
        let cri = Cri { cgroup_parent: Some(self.cri.cgroup_parent().to_owned()), ..self.cri.clone() };
        Self { socket, containerd, runtimes, cri, ..self }
    }

    /// The runtime handlers that are configured, and `native`.
    pub(crate) fn runtimes(&self) -> BTreeMap<String, Handler> {
        let mut runtimes = self.runtimes.clone();
        runtimes.entry(NATIVE.into()).or_insert(Handler::Native {});
        runtimes
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Default for Cri {
    fn default() -> Self {
        Self {
            cgroup_driver: CgroupDriver::Cgroupfs,
            cgroup_parent: None,
            max_log_line: 16 * 1024,
            event_buffer: 1000,
            cdi_spec_dirs: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
        }
    }
}

impl Cri {
    pub(crate) fn cgroup_parent(&self) -> &str {
        let usual = match self.cgroup_driver {
            CgroupDriver::Cgroupfs => "/wharf",
            CgroupDriver::Systemd => "wharf.slice",
        };
        self.cgroup_parent.as_deref().unwrap_or(usual)
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            mode: NetworkMode::Cni,
            cni_conf_dir: "/etc/cni/net.d".into(),
            cni_bin_dirs: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
            max_conf: 1,
            plugin_timeout: 60,
            gc: true,
            prefer: AddressFamily::Ipv4,
        }
    }
}

impl Default for Streaming {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            idle_timeout: 4 * 60 * 60,
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            certs_d: "/etc/wharf/certs.d".into(),
            max_concurrent_downloads: 3,
            max_concurrent_unpacks: 16,
            progress_timeout: 300,
            abandon_after: 10,
            resume_window: 600,
            max_layer_bytes: 128 << 30,
            max_image_bytes: 256 << 30,
            pinned_images: Vec::new(),
            auth_file: None,
        }
    }
}

// === impl Registry ===

impl Registry {
    pub(crate) fn credentials(&self) -> Option<DockerConfig> {
        match &self.auth_file {
            None => DockerConfig::of_environment(),
            Some(path) if path.as_os_str().is_empty() => None,
            Some(path) => Some(DockerConfig::at(path)),
        }
    }

    /// The names of pinned images, as images are called.
    pub(crate) fn pinned(&self) -> Result<BTreeSet<String>> {
        let name = |name: &String| {
            let reference = name.parse::<Reference>();
            reference.map(|name| name.to_string()).with_context(|| format!("registry.pinned_images: {name:?}"))
        };
        self.pinned_images.iter().map(name).collect()
    }
}

impl Default for Snapshotter {
    fn default() -> Self {
        Self { name: "overlayfs".into(), volatile: true }
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self { dir: "/etc/wharf/plugins".into(), plugins: BTreeMap::new() }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            shim: None,
            compiler: None,
            shim_deadline: 30,
            step_deadline: 100,
            kill_deadline: 30,
            default_handler: NATIVE.into(),
        }
    }
}

/// The handler that is there without a word.
const NATIVE: &str = "native";

// === impl Runtime ===

impl Runtime {
    pub(crate) fn shim(&self) -> Result<PathBuf> {
        beside("shim", self.shim.as_deref(), "containerd-shim-wharf-v1")
    }

    pub(crate) fn compiler(&self) -> Result<PathBuf> {
        beside("compiler", self.compiler.as_deref(), "wharf-compile")
    }
}

fn beside(key: &str, named: Option<&Path>, file: &str) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().context("find this binary's own path")?.with_file_name(file),
    };
    anyhow::ensure!(
        path.is_file(),
        "{} is not there (it belongs beside the wharf binary, or set [runtime] {key} in the configuration)",
        path.display()
    );
    Ok(path)
}
