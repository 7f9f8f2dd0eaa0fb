use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wharf_store::{Lifetime, Table};

use crate::{Family, conf::Network, request::Target, result::addresses};

/// What a pod is attached to, or is being.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Attachment {
    pub(crate) pod: String,
    pub(crate) netns: PathBuf,
    pub(crate) args: String,
    pub(crate) capabilities: Map<String, Value>,
    /// Attached in this order, detached in the other.
    pub(crate) joined: Vec<Joined>,
    /// False while plugins are at work, or were when the daemon was killed.
    pub(crate) settled: bool,
}

/// One network of a pod.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Joined {
    /// As it was configured then.
    pub(crate) network: Network,
    pub(crate) interface: String,
    /// Whether ADD was asked, or may have been.
    pub(crate) begun: bool,
    /// What ADD answered; none before that.
    #[serde(default)]
    pub(crate) result: Option<Value>,
}

/// Attachments by namespace and pod: as long as the machine's uptime, with a copy, for what IPAM plugins keep on the
/// disk outlives a reboot.
pub(crate) enum AttachmentTable {}

impl Table for AttachmentTable {
    const NAME: &'static str = "attachments";
    const LIFETIME: Lifetime = Lifetime::Crash;
    const BOOT_COPY: bool = true;
    type Row = Attachment;
}

/// Whether a collection of leaked attachments is under way, by namespace.
pub(crate) enum CollectionTable {}

impl Table for CollectionTable {
    const NAME: &'static str = "attachment-collection";
    const LIFETIME: Lifetime = Lifetime::Crash;
    type Row = ();
}

/// The node's range of pod addresses as the kubelet said it last, by namespace. The kubelet says it once and not again to
/// a new daemon.
pub(crate) enum PodCidrTable {}

impl Table for PodCidrTable {
    const NAME: &'static str = "pod-cidr";
    const LIFETIME: Lifetime = Lifetime::Durable;
    type Row = String;
}

// === impl Attachment ===

impl Attachment {
    /// Nothing of it is done yet; the first network is about to be.
    pub(crate) fn planned(target: &Target, networks: &[Network]) -> Self {
        let joined = networks.iter().enumerate().map(|(index, network)| Joined {
            network: network.clone(),
            interface: format!("eth{index}"),
            begun: index == 0,
            result: None,
        });
        Self {
            pod: target.pod.clone(),
            netns: target.netns.clone(),
            args: target.args.clone(),
            capabilities: target.capabilities.clone(),
            joined: joined.collect(),
            settled: false,
        }
    }

    /// The pod as it was told to the plugins, with this namespace path.
    pub(crate) fn target(&self, netns: PathBuf) -> Target {
        Target { pod: self.pod.clone(), netns, args: self.args.clone(), capabilities: self.capabilities.clone() }
    }

    /// The pod's addresses in its first network, the preferred family's first one before all others.
    pub(crate) fn addresses(&self, prefer: Family) -> Vec<IpAddr> {
        let Some(first) = self.joined.first().filter(|_| self.settled) else { return Vec::new() };
        // It was read when it was made.
        let mut found = first.result.as_ref().and_then(|result| addresses(result, &first.interface).ok());
        let found = found.get_or_insert_default();
        let preferred = |ip: &IpAddr| match prefer {
            Family::Ipv4 => ip.is_ipv4(),
            Family::Ipv6 => ip.is_ipv6(),
            Family::Cni => true,
        };
        if let Some(index) = found.iter().position(preferred)
            && let Some(before) = found.get_mut(..=index)
        {
            before.rotate_right(1);
        }
        std::mem::take(found)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_preferred_familys_address_comes_first_and_the_others_keep_their_order() {
        let text = br#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"t"}]}"#;
        let network = Network::parse(Path::new("x.conflist"), text).unwrap();
        let result =
            json!({ "ips": [{ "address": "fd00::1/64" }, { "address": "fd00::2/64" }, { "address": "10.0.0.3/8" }] });
        let mut attachment = Attachment {
            pod: "a".into(),
            netns: PathBuf::new(),
            args: String::new(),
            capabilities: Map::new(),
            joined: vec![Joined { network, interface: "eth0".into(), begun: true, result: Some(result) }],
            settled: true,
        };
        let shown = |attachment: &Attachment, prefer| {
            attachment.addresses(prefer).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown(&attachment, Family::Ipv4), ["10.0.0.3", "fd00::1", "fd00::2"]);
        assert_eq!(shown(&attachment, Family::Ipv6), ["fd00::1", "fd00::2", "10.0.0.3"]);
        assert_eq!(shown(&attachment, Family::Cni), ["fd00::1", "fd00::2", "10.0.0.3"]);
        attachment.settled = false;
        assert!(shown(&attachment, Family::Ipv4).is_empty());
    }
}
