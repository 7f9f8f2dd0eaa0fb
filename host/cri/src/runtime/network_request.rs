use wharf_api::cri::{PodSandboxConfig, PortMapping as Asked, Protocol as AskedProtocol};
use wharf_error::{Error, Kind, Result};
use wharf_network::{Bandwidth, Dns, Mode, NetworkRequest, PortMapping, Protocol};
use wharf_shim_api::Namespace;

/// What the pod's network is made from. On the node's network all of it is the node's.
pub(super) fn network_request(config: &PodSandboxConfig, network: Namespace, mode: Mode) -> Result<NetworkRequest> {
    if network != Namespace::Pod {
        return Ok(NetworkRequest::default());
    }
    // A port of the node's that is not asked for is 0.
    let asked = config.port_mappings.iter().filter(|port| port.host_port != 0);
    let ports = asked.map(port).collect::<Result<Vec<_>>>()?;
    if let Some(port) = ports.first().filter(|_| mode == Mode::Loopback) {
        return Err(Error::new(
            Kind::Unsupported,
            format!("port_mappings[{}].host_port: pods have their loopback alone on this node", port.host_port),
        )
        .hint("use the node's network, or set [network] mode to \"cni\""));
    }
    let dns = config.dns_config.clone().unwrap_or_default();
    Ok(NetworkRequest {
        ports,
        bandwidth: Bandwidth::from_annotations(&config.annotations)?,
        dns: Dns { servers: dns.servers, searches: dns.searches, options: dns.options },
        annotations: config.annotations.clone(),
        cgroup_parent: config.linux.as_ref().map(|linux| linux.cgroup_parent.clone()).unwrap_or_default(),
    })
}

fn port(asked: &Asked) -> Result<PortMapping> {
    let field = |name: &str| format!("port_mappings[{}].{name}", asked.host_port);
    let number = |name: &str, port: i32| match u16::try_from(port) {
        Ok(port @ 1..) => Ok(port),
        _ => Err(Error::invalid(format!("{}: {port} is no port", field(name)))),
    };
    Ok(PortMapping {
        host_port: number("host_port", asked.host_port)?,
        container_port: number("container_port", asked.container_port)?,
        protocol: match AskedProtocol::try_from(asked.protocol) {
            Ok(AskedProtocol::Tcp) => Protocol::Tcp,
            Ok(AskedProtocol::Udp) => Protocol::Udp,
            Ok(AskedProtocol::Sctp) => Protocol::Sctp,
            Err(_) => return Err(Error::invalid(format!("{}: {} is none", field("protocol"), asked.protocol))),
        },
        host_ip: match asked.host_ip.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error| {
                Error::invalid(format!("{}: {text:?} is no address", field("host_ip"))).because(error)
            })?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host_port: i32, container_port: i32, host_ip: &str) -> PodSandboxConfig {
        let port = Asked { host_port, container_port, host_ip: host_ip.into(), ..Asked::default() };
        PodSandboxConfig { port_mappings: vec![port], ..PodSandboxConfig::default() }
    }

    #[test]
    fn ports_of_the_node_are_asked_for_by_number_protocol_and_address() {
        let request = network_request(&config(8080, 80, "::1"), Namespace::Pod, Mode::Cni).unwrap();
        let expected = PortMapping {
            host_port: 8080,
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: Some("::1".parse().unwrap()),
        };
        assert_eq!(request.ports, [expected]);
        assert!(network_request(&config(0, 80, ""), Namespace::Pod, Mode::Cni).unwrap().ports.is_empty());
        assert!(network_request(&config(8080, 80, ""), Namespace::Node, Mode::Cni).unwrap().ports.is_empty());
    }

    #[test]
    fn a_port_that_is_none_or_leads_nowhere_is_refused() {
        for (host, container, ip) in [(-1, 80, ""), (65536, 80, ""), (80, 0, ""), (80, 80, "home")] {
            let error = network_request(&config(host, container, ip), Namespace::Pod, Mode::Cni).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        }
        let error = network_request(&config(8080, 80, ""), Namespace::Pod, Mode::Loopback).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("8080"), "{error}");
    }
}
