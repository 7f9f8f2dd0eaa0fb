use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_steps::step;

use super::Inner;
use crate::conf::{self, Network};

/// What is wrong is looked at again when somebody asks, but not more often than this: plugins' folders are not watched.
const AGAIN: Duration = Duration::from_secs(1);

/// The configuration as it was read last.
pub(super) struct Loaded {
    /// None: it has not been read yet.
    pub(super) at: Option<Instant>,
    /// Or why there are none, for people.
    pub(super) networks: std::result::Result<Vec<Network>, String>,
}

// === impl Loaded ===

impl Loaded {
    pub(super) fn nothing_yet() -> Self {
        Self { at: None, networks: Err("the network configuration has not been read yet".into()) }
    }

    /// The networks that a pod is attached to.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` with the reason why there are none.
    pub(super) fn networks(&self) -> Result<&[Network]> {
        self.networks.as_deref().map_err(|reason| Error::new(Kind::FailedPrecondition, reason.clone()))
    }
}

// === impl Inner ===

impl Inner {
    /// What is configured now, as far as is known: what is good is good until the folder changes.
    pub(super) async fn loaded(&self) -> Arc<Loaded> {
        let now = self.last_loaded();
        let fresh = now.networks.is_ok() || now.at.is_some_and(|at| at.elapsed() < AGAIN);
        if fresh { now } else { self.reload(now.at).await }
    }

    pub(super) fn last_loaded(&self) -> Arc<Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the folder and looks for the plugins, unless somebody else has since `seen`.
    pub(super) async fn reload(&self, seen: Option<Instant>) -> Arc<Loaded> {
        let _turn = step(|| "wait for the network configuration to be read".into(), self.loading.lock()).await;
        let before = self.last_loaded();
        if before.at != seen {
            return before;
        }
        let networks = self.read(before.networks.as_deref().unwrap_or_default()).await;
        let networks = networks.map_err(|error| error.to_string());
        if before.networks != networks {
            match &networks {
                Ok(networks) => tracing::info!(networks = describe(networks), "pods can be attached"),
                Err(reason) => tracing::warn!(reason, "pods cannot be attached"),
            }
        }
        let loaded = Arc::new(Loaded { at: Some(Instant::now()), networks });
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded.clone();
        loaded
    }

    async fn read(&self, before: &[Network]) -> Result<Vec<Network>> {
        let (folder, most) = (self.config.conf_dir.clone(), self.config.max_networks);
        let reading = tokio::task::spawn_blocking(move || conf::load(&folder, most));
        let networks = step(|| "read the network configuration".into(), reading).await;
        let networks = networks.step(|| "read the network configuration".into())??;
        for network in networks.iter().filter(|network| !before.contains(network)) {
            self.plugins.verify(network).await?;
        }
        Ok(networks)
    }
}

/// For people: `pods (CNI 1.0.0: bridge portmap, from /etc/cni/net.d/10-pods.conflist)`.
pub(super) fn describe(networks: &[Network]) -> String {
    let one = |network: &Network| {
        let plugins: Vec<_> = network.types().collect();
        let (name, version) = (&network.name, network.version);
        format!("{name} (CNI {version}: {}, from {})", plugins.join(" "), network.file.display())
    };
    networks.iter().map(one).collect::<Vec<_>>().join("; ")
}
