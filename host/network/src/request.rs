use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde_json::{Map, Value, json};
use wharf_error::{Error, Result};

use crate::Bandwidth;

/// What the network of a pod is made from.
#[derive(Clone, Debug, Default)]
pub struct NetworkRequest {
    /// Ports of the node that lead into the pod.
    pub ports: Vec<PortMapping>,
    /// Limits of its traffic.
    pub bandwidth: Option<Bandwidth>,
    /// Its name servers, for plugins that want to know.
    pub dns: Dns,
    /// Its annotations, for plugins that want to know.
    pub annotations: BTreeMap<String, String>,
    /// The control group that it was asked to be in, for plugins that want to know; empty: none.
    pub cgroup_parent: String,
}

/// What Kubernetes calls the pod.
#[derive(Clone, Debug, Default)]
pub struct PodName {
    /// Its name.
    pub name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// Its Kubernetes uid.
    pub uid: String,
}

/// A port of the node that leads to one of the pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortMapping {
    /// The port on the node.
    pub host_port: u16,
    /// The port in the pod.
    pub container_port: u16,
    /// Of which transport.
    pub protocol: Protocol,
    /// The node's address on which it is; none: each.
    pub host_ip: Option<IpAddr>,
}

/// A transport with ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Name servers and how to use them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dns {
    /// Addresses of servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Options of the resolver.
    pub options: Vec<String>,
}

/// A pod as plugins see it.
pub(crate) struct Target {
    /// The pod's id, CNI's container.
    pub(crate) pod: String,
    pub(crate) netns: PathBuf,
    /// `CNI_ARGS`.
    pub(crate) args: String,
    /// What plugins may ask for by naming it in their `capabilities`.
    pub(crate) capabilities: Map<String, Value>,
}

// === impl Target ===

impl Target {
    /// `pod_cidr`: the node's range of pod addresses as the kubelet said it, or empty.
    pub(crate) fn new(
        pod: &str,
        netns: PathBuf,
        name: &PodName,
        request: &NetworkRequest,
        pod_cidr: &str,
    ) -> Result<Self> {
        let args = args(pod, name)?;
        Ok(Self { pod: pod.to_owned(), netns, args, capabilities: capabilities(request, pod_cidr) })
    }
}

impl Protocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// The arguments that plugins for Kubernetes look for. A name that could add another one is refused.
fn args(pod: &str, name: &PodName) -> Result<String> {
    let mut text = "IgnoreUnknown=1".to_owned();
    for (key, value) in [
        ("K8S_POD_NAMESPACE", name.namespace.as_str()),
        ("K8S_POD_NAME", &name.name),
        ("K8S_POD_INFRA_CONTAINER_ID", pod),
        ("K8S_POD_UID", &name.uid),
    ] {
        if value.contains([';', '=', '\0', '\n']) {
            return Err(Error::invalid(format!("{value:?} cannot be told to network plugins as {key}"))
                .hint("names and uids of pods have no `;`, no `=` and no line breaks"));
        }
        text.push_str(&format!(";{key}={value}"));
    }
    Ok(text)
}

/// By CNI's conventions, with what containerd adds; what nobody asked for is not there.
fn capabilities(request: &NetworkRequest, pod_cidr: &str) -> Map<String, Value> {
    let mut all = Map::new();
    let ports: Vec<_> = request.ports.iter().map(port).collect();
    if !ports.is_empty() {
        all.insert("portMappings".into(), ports.into());
    }
    if let Some(bandwidth) = &request.bandwidth {
        all.insert("bandwidth".into(), bandwidth.to_json());
    }
    if request.dns != Dns::default() {
        let Dns { servers, searches, options } = &request.dns;
        all.insert("dns".into(), json!({ "servers": servers, "searches": searches, "options": options }));
    }
    // As containerd has them: there also where there is nothing to tell.
    all.insert("io.kubernetes.cri.pod-annotations".into(), json!(request.annotations));
    all.insert("cgroupPath".into(), request.cgroup_parent.as_str().into());
    // A set of ranges a family: a pod gets one address of each.
    let ranges: Vec<_> = subnets(pod_cidr).map(|subnet| json!([{ "subnet": subnet }])).collect();
    if !ranges.is_empty() {
        all.insert("ipRanges".into(), ranges.into());
    }
    all
}

fn port(port: &PortMapping) -> Value {
    let mut mapping = json!({
        "hostPort": port.host_port,
        "containerPort": port.container_port,
        "protocol": port.protocol.as_str(),
    });
    if let Some(ip) = port.host_ip {
        mapping["hostIP"] = ip.to_string().into();
    }
    mapping
}

/// The kubelet joins them with commas.
fn subnets(pod_cidr: &str) -> impl Iterator<Item = &str> {
    pod_cidr.split(',').map(str::trim).filter(|subnet| !subnet.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_told_what_kubernetes_calls_the_pod() {
        let name = PodName { name: "web-0".into(), namespace: "default".into(), uid: "u-1".into() };
        let target = Target::new("abc", "/run/netns/x".into(), &name, &NetworkRequest::default(), "").unwrap();
        assert_eq!(
            target.args,
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1"
        );
        let told: Vec<_> = target.capabilities.keys().map(String::as_str).collect();
        assert_eq!(told, ["cgroupPath", "io.kubernetes.cri.pod-annotations"], "also where there is nothing to tell");
    }

    #[test]
    fn a_name_cannot_add_an_argument() {
        let name = PodName { name: "x;IP=10.0.0.1".into(), ..PodName::default() };
        let refused = Target::new("abc", PathBuf::new(), &name, &NetworkRequest::default(), "").err().unwrap();
        assert!(refused.to_string().contains("K8S_POD_NAME"), "{refused}");
    }

    #[test]
    fn capabilities_are_written_as_the_conventions_say() {
        let request = NetworkRequest {
            ports: vec![PortMapping {
                host_port: 8080,
                container_port: 80,
                protocol: Protocol::Udp,
                host_ip: Some("127.0.0.1".parse().unwrap()),
            }],
            bandwidth: Some(Bandwidth { ingress: Some(1_000_000), egress: None }),
            dns: Dns { servers: vec!["10.0.0.10".into()], ..Dns::default() },
            annotations: BTreeMap::from([("team".into(), "red".into())]),
            cgroup_parent: "/kubepods/pod1".into(),
        };
        let written = Value::from(capabilities(&request, "10.1.0.0/24, fd00:1::/64"));
        assert_eq!(
            written,
            json!({
                "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "udp", "hostIP": "127.0.0.1" }],
                "bandwidth": { "ingressRate": 1_000_000, "ingressBurst": u32::MAX },
                "dns": { "servers": ["10.0.0.10"], "searches": [], "options": [] },
                "io.kubernetes.cri.pod-annotations": { "team": "red" },
                "cgroupPath": "/kubepods/pod1",
                "ipRanges": [[{ "subnet": "10.1.0.0/24" }], [{ "subnet": "fd00:1::/64" }]],
            })
        );
    }
}
