//! From a configuration to the services: what depends on what, in one place.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use wharf_images::{Images, ImagesConfig};
use wharf_network::{Family, Mode, NetworkConfig, Networks};
use wharf_plugins::{Grants, Kind, Limits, PluginSource, Plugins, PluginsConfig, Wasm};
use wharf_pods::{Handler, Pods, PodsConfig};
use wharf_registry::{Client, ClientConfig, Proxies};
use wharf_snapshots::Snapshots;
use wharf_store::Store;

use super::dirs::Dirs;
use crate::config::{self, AddressFamily, Config, NetworkMode, Plugin};

/// Everything that is served.
pub(super) struct Parts {
    pub(super) plugins: Arc<Plugins>,
    pub(super) images: Images,
    pub(super) pods: Pods,
    pub(super) snapshots: Snapshots,
    pub(super) store: Store,
}

// === impl Parts ===

impl Parts {
    pub(super) async fn build(config: &Config, dirs: &Dirs) -> Result<Self> {
        let (meta, state) = (config.root.join("meta.redb"), config.state.join("state.redb"));
        let store = blocking(move || Ok(Store::open(&meta, &state)?)).await.context("open the store")?;
        let plugins_config = plugins_config(config, dirs)?;
        let plugins = blocking(move || Ok(Plugins::open(&plugins_config)?)).await.context("load the plugins")?;
        let plugins = Arc::new(plugins);
        let snapshotter = plugins.snapshotter(&config.snapshotter.name).context("choose the snapshotter")?;
        let (books, backend) = (store.clone(), snapshotter);
        let snapshots = blocking(move || Ok(Snapshots::new(books, backend)?)).await.context("open the snapshots")?;
        let proxies = Proxies::from_env();
        if !proxies.is_empty() {
            tracing::info!(?proxies, "registries are asked through proxies");
        }
        let client = Client::new(ClientConfig {
            proxies,
            certs_d: config.registry.certs_d.clone(),
            credentials: config.registry.credentials(),
            progress_timeout: Duration::from_secs(config.registry.progress_timeout),
            ..ClientConfig::default()
        })?;
        let images_config = ImagesConfig {
            fs_path: dirs.snapshots.clone(),
            max_concurrent_downloads: config.registry.max_concurrent_downloads,
            max_concurrent_unpacks: config.registry.max_concurrent_unpacks,
            abandon_after: Duration::from_secs(config.registry.abandon_after),
            resume_window: Duration::from_secs(config.registry.resume_window),
            max_layer_bytes: config.registry.max_layer_bytes,
            max_image_bytes: config.registry.max_image_bytes,
            pinned: config.registry.pinned()?,
            ..ImagesConfig::new(dirs.content.clone())
        };
        let images = Images::open(store.clone(), snapshots.clone(), client, images_config).await;
        let images = images.context("open the images")?;
        let networks = Networks::open(network_config(config), store.clone()).await.context("open the networks")?;
        let pods = Pods::open(pods_config(config)?, store.clone(), snapshots.clone(), images.clone(), networks)
            .await
            .context("recover the pods")?;
        Ok(Self { plugins, images, pods, snapshots, store })
    }
}

// === impl Parts: the end ===

impl Parts {
    /// Brings to the disk what a power cut right after our end would otherwise cost.
    pub(super) async fn settle(snapshots: &Snapshots, store: Store) -> Result<()> {
        snapshots.flush().await.context("flush the layers")?;
        blocking(move || Ok(store.copy_now()?)).await.context("copy the books of the pods")
    }
}

fn plugins_config(config: &Config, dirs: &Dirs) -> Result<PluginsConfig> {
    let bundled: BTreeMap<_, _> = wharf_bundled::plugins().iter().map(|plugin| (plugin.name, plugin)).collect();
    let mut plugins = Vec::new();
    for plugin in bundled.values() {
        let configured = config.plugins.plugins.get(plugin.name);
        plugins.push(PluginSource {
            name: plugin.name.to_owned(),
            kind: plugin.kind.parse().with_context(|| format!("bundled plugin {}", plugin.name))?,
            wasm: Wasm::Bundled(plugin.wasm),
            config: configured.map(|plugin| plugin.config.clone()).unwrap_or_default(),
            grants: grants(configured, plugin.powers),
            limits: limits(configured),
        });
    }
    for (name, configured) in &config.plugins.plugins {
        if bundled.contains_key(name.as_str()) {
            continue;
        }
        plugins.push(PluginSource {
            name: name.clone(),
            kind: Kind::Snapshotter,
            wasm: Wasm::File(config.plugins.dir.join(format!("{name}.wasm"))),
            config: configured.config.clone(),
            grants: grants(Some(configured), &[]),
            limits: limits(Some(configured)),
        });
    }
    Ok(PluginsConfig {
        compiled_dir: dirs.compiled.clone(),
        compiler: config.runtime.compiler()?,
        snapshots_dir: dirs.snapshots.clone(),
        folder: Some(config.plugins.dir.clone()),
        plugins,
    })
}

/// The bundled plugins have what they need without a word; a table of the operator's takes the place of that.
fn grants(configured: Option<&Plugin>, needed: &[&str]) -> Grants {
    let Some(plugin) = configured else { return Grants::of(needed.iter().copied()) };
    Grants { granted: plugin.grant.iter().cloned().collect(), refused: plugin.refuse.iter().cloned().collect() }
}

fn limits(configured: Option<&Plugin>) -> Limits {
    let mut limits = Limits::default();
    if let Some(plugin) = configured {
        limits.deadline = plugin.deadline_ms.map_or(limits.deadline, Duration::from_millis);
        if let Some(long) = plugin.long_deadline_ms {
            limits.deadlines.values_mut().for_each(|deadline| *deadline = Duration::from_millis(long));
        }
        let memory = plugin.memory_mib.and_then(|mib| usize::try_from(mib << 20).ok());
        limits.memory = memory.unwrap_or(limits.memory);
    }
    limits
}

fn pods_config(config: &Config) -> Result<PodsConfig> {
    let mut pods = PodsConfig::new(config.state.clone(), config.runtime.shim()?, config.socket());
    pods.default_handler = config.runtime.default_handler.clone();
    pods.handlers = config.runtimes().into_iter().map(|(name, handler)| (name, of(handler))).collect();
    pods.cgroup_driver = config.cri.cgroup_driver;
    pods.cgroup_parent = config.cri.cgroup_parent().to_owned();
    pods.marks = config.containerd_socket().is_some();
    pods.max_log_line = config.cri.max_log_line;
    pods.event_buffer = config.cri.event_buffer;
    pods.volatile = config.snapshotter.volatile;
    pods.shim_deadline = Duration::from_secs(config.runtime.shim_deadline);
    pods.step_deadline = Duration::from_secs(config.runtime.step_deadline);
    pods.kill_deadline = Duration::from_secs(config.runtime.kill_deadline);
    Ok(pods)
}

fn network_config(config: &Config) -> NetworkConfig {
    let network = &config.network;
    NetworkConfig {
        mode: match network.mode {
            NetworkMode::Cni => Mode::Cni,
            NetworkMode::Loopback => Mode::Loopback,
        },
        conf_dir: network.cni_conf_dir.clone(),
        bin_dirs: network.cni_bin_dirs.clone(),
        max_networks: network.max_conf,
        plugin_deadline: Duration::from_secs(network.plugin_timeout),
        gc: network.gc,
        prefer: match network.prefer {
            AddressFamily::Ipv4 => Family::Ipv4,
            AddressFamily::Ipv6 => Family::Ipv6,
            AddressFamily::Cni => Family::Cni,
        },
        ..NetworkConfig::default()
    }
}

fn of(handler: config::Handler) -> Handler {
    match handler {
        config::Handler::Native {} => Handler::Native,
        config::Handler::Oci { path, options, .. } => Handler::Oci { path, options },
        config::Handler::Shim { path, binary, config, .. } => Handler::Shim { path, binary, config },
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}
