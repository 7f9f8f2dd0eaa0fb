use std::{net::IpAddr, path::PathBuf, sync::PoisonError};

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_steps::step;

use super::Networks;
use crate::{Mode, NetworkRequest, PodName, attachment::Attachment, request::Target, result::addresses};

impl Networks {
    /// Whether a pod could be attached, before anything is made for it.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` with the reason for people: nothing is configured, what is configured is wrong, or a plugin
    /// is missing.
    pub async fn ready(&self) -> Result<()> {
        match self.inner.config.mode {
            Mode::Loopback => Ok(()),
            Mode::Cni => self.inner.loaded().await.networks().map(drop),
        }
    }

    /// Attaches a pod to every configured network, in order, as eth0, eth1 and so on. Answers its addresses, none where
    /// only the loopback is wanted.
    ///
    /// Not to be cancelled, and one call a pod at a time. A pod whose attachment is in the books already is detached
    /// first.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready), and what the plugin says that fails. What has been made until then is undone by
    /// [`detach`](Self::detach), which the caller is to call.
    pub async fn attach(
        &self,
        pod: &str,
        netns: PathBuf,
        name: &PodName,
        request: &NetworkRequest,
    ) -> Result<Vec<IpAddr>> {
        let inner = &*self.inner;
        if inner.config.mode == Mode::Loopback {
            return Ok(Vec::new());
        }
        self.detach(pod).await?;
        let loaded = inner.loaded().await;
        let networks = loaded.networks()?;
        let pod_cidr = inner.pod_cidr.read().unwrap_or_else(PoisonError::into_inner).clone();
        let target = Target::new(pod, netns, name, request, &pod_cidr)?;
        let _no_collection =
            step(|| "wait for the collection of leaked network attachments".into(), inner.collecting.read()).await;
        let mut row = Attachment::planned(&target, networks);
        inner.put(&row).await?;
        for (network, joined) in networks.iter().zip(0..) {
            let Some(interface) = row.joined.get(joined).map(|joined| joined.interface.clone()) else { continue };
            let result = inner.plugins.add(network, &target, &interface).await?;
            // Read before it is kept: what is in the books can be shown.
            let adding = || format!("network {}: ADD", network.name);
            let found = addresses(&result, &interface).step(adding)?;
            // The kubelet would make a pod without an address anew for ever, and never say why.
            if joined == 0 && found.is_empty() {
                let what = format!("it gave no address to {interface}");
                return Err(Error::new(Kind::Unknown, what).hint("look at the plugin's ipam")).step(adding);
            }
            if let Some(joined) = row.joined.get_mut(joined) {
                joined.result = Some(result);
            }
            if let Some(next) = row.joined.iter_mut().find(|joined| !joined.begun) {
                next.begun = true;
            }
            row.settled = row.joined.iter().all(|joined| joined.result.is_some());
            inner.put(&row).await?;
        }
        Ok(row.addresses(inner.config.prefer))
    }
}
