use std::time::{Duration, Instant};

use super::{Networks, loaded::describe};
use crate::{Mode, NetworkStatus, conf::Network};

/// How long an answer of STATUS is good: the kubelet asks every few seconds.
const GOOD: Duration = Duration::from_secs(10);

impl Networks {
    /// Whether pods can be attached now, and why not. Plugins of CNI 1.1 are asked, ten seconds apart at least.
    pub async fn status(&self) -> NetworkStatus {
        if self.inner.config.mode == Mode::Loopback {
            return NetworkStatus::ready("pods have their loopback alone: [network] mode = \"loopback\"".into());
        }
        let loaded = self.inner.loaded().await;
        match &loaded.networks {
            Err(reason) => NetworkStatus::not_ready(reason.clone()),
            Ok(networks) => match self.wrong(networks).await {
                Some(reason) => NetworkStatus::not_ready(reason),
                None => NetworkStatus::ready(describe(networks)),
            },
        }
    }

    /// What the plugins say is wrong.
    async fn wrong(&self, networks: &[Network]) -> Option<String> {
        if !networks.iter().any(|network| network.version.has_gc()) {
            return None;
        }
        let mut asked = self.inner.asked.lock().await;
        if let Some((at, answer)) = &*asked
            && at.elapsed() < GOOD
        {
            return answer.clone();
        }
        let mut wrong = None;
        for network in networks {
            if let Err(error) = self.inner.plugins.status(network).await {
                wrong = Some(error.to_string());
                break;
            }
        }
        *asked = Some((Instant::now(), wrong.clone()));
        wrong
    }
}
