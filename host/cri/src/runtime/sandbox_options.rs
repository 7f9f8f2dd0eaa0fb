use std::collections::BTreeMap;

use wharf_api::cri::{DnsConfig, NamespaceMode, NamespaceOption, PodSandboxConfig};
use wharf_error::{Error, Result};
use wharf_shim_api::{Namespace, SandboxOptions, UserMappings};

use crate::spec::user_mappings;

/// The kernel's longest host name.
const LONGEST_HOSTNAME: usize = 64;

/// What the shim is to hold for a pod. `node` is the node's name, for a pod with a name space of its own and no name.
pub(super) fn sandbox_options(config: &PodSandboxConfig, node: &str) -> Result<SandboxOptions> {
    let linux = config.linux.clone().unwrap_or_default();
    let security = linux.security_context.unwrap_or_default();
    let network = shared("network", security.namespace_options.as_ref().map(|options| options.network))?;
    let ipc = shared("ipc", security.namespace_options.as_ref().map(|options| options.ipc))?;
    Ok(SandboxOptions {
        hostname: hostname(config, network, node)?,
        network,
        ipc,
        pid: pid(security.namespace_options.as_ref())?,
        netns_path: None,
        user_namespace: user_namespace(security.namespace_options.as_ref())?,
        sysctls: sysctls(linux.sysctls, network),
        cgroup_parent: cgroup_parent(linux.cgroup_parent)?,
        holder: false,
    })
}

/// The pod's `resolv.conf`; none where the client says nothing and the node's is taken.
pub(super) fn resolv_conf(dns: Option<&DnsConfig>) -> Result<Option<String>> {
    let Some(dns) = dns else { return Ok(None) };
    let mut words = dns.servers.iter().chain(&dns.searches).chain(&dns.options);
    if let Some(bad) = words.find(|word| word.contains(['\n', '\r', '\0'])) {
        return Err(Error::invalid(format!("dns_config: {bad:?} has a line break")));
    }
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{key} {value}\n"));
        }
    };
    line("search", &dns.searches.join(" "));
    for server in &dns.servers {
        line("nameserver", server);
    }
    line("options", &dns.options.join(" "));
    Ok(Some(text))
}

/// Network and IPC are the pod's or the node's.
fn shared(field: &str, mode: Option<i32>) -> Result<Namespace> {
    let Some(mode) = mode else { return Ok(Namespace::Pod) };
    match NamespaceMode::try_from(mode) {
        Ok(NamespaceMode::Pod) => Ok(Namespace::Pod),
        Ok(NamespaceMode::Node) => Ok(Namespace::Node),
        _ => Err(Error::invalid(format!("linux.security_context.namespace_options.{field}: POD or NODE, not {mode}"))),
    }
}

/// A client that says nothing of namespaces has processes by container, as the kubelet's default is; one that sets
/// another of the options only says POD.
fn pid(options: Option<&NamespaceOption>) -> Result<Namespace> {
    let Some(options) = options else { return Ok(Namespace::Container) };
    match NamespaceMode::try_from(options.pid) {
        Ok(NamespaceMode::Pod) => Ok(Namespace::Pod),
        Ok(NamespaceMode::Container) => Ok(Namespace::Container),
        Ok(NamespaceMode::Node) => Ok(Namespace::Node),
        _ => Err(Error::invalid("linux.security_context.namespace_options.pid: a pod has no target")),
    }
}

/// The pod's users; none where they are the node's. Nobody says so by saying nothing.
fn user_namespace(options: Option<&NamespaceOption>) -> Result<Option<UserMappings>> {
    let field = "linux.security_context.namespace_options.userns_options";
    let Some(asked) = options.and_then(|options| options.userns_options.as_ref()) else { return Ok(None) };
    match NamespaceMode::try_from(asked.mode) {
        Ok(NamespaceMode::Node) if asked.uids.is_empty() && asked.gids.is_empty() => Ok(None),
        Ok(NamespaceMode::Node) => Err(Error::invalid(format!("{field}: NODE takes no mappings"))),
        Ok(NamespaceMode::Pod) if asked.uids.is_empty() || asked.gids.is_empty() => {
            Err(Error::invalid(format!("{field}: POD needs mappings of uids and of gids")))
        }
        Ok(NamespaceMode::Pod) => Ok(Some(user_mappings(asked))),
        _ => Err(Error::invalid(format!("{field}.mode: unsupported user namespace mode {}, POD or NODE", asked.mode))),
    }
}

/// Empty on the node's network, where the node's name is kept.
fn hostname(config: &PodSandboxConfig, network: Namespace, node: &str) -> Result<String> {
    let own = config.hostname.as_str();
    if own.len() > LONGEST_HOSTNAME || own.contains(['\n', '\0']) {
        return Err(Error::invalid(format!(
            "hostname {own:?}: longer than {LONGEST_HOSTNAME} bytes, or of many lines"
        )));
    }
    Ok(match (network, own) {
        (Namespace::Node, _) => String::new(),
        (_, "") => node.to_owned(),
        (_, own) => own.to_owned(),
    })
}

/// In a network of its own a pod may use low ports and ping without privileges, unless it is told otherwise.
fn sysctls(mut asked: BTreeMap<String, String>, network: Namespace) -> BTreeMap<String, String> {
    if network == Namespace::Pod {
        for (name, value) in
            [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")]
        {
            let slashed = name.replace('.', "/");
            if !asked.contains_key(&slashed) {
                asked.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
    }
    asked
}

/// As the client says: what it means is for who makes control groups.
fn cgroup_parent(parent: String) -> Result<String> {
    let what = "linux.cgroup_parent";
    if parent.split('/').any(|part| part == ".." || part == ".") || parent.contains('\0') {
        return Err(Error::invalid(format!("{what}: {parent:?} is not a plain path")));
    }
    Ok(parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_api::cri::{LinuxPodSandboxConfig, LinuxSandboxSecurityContext};
    use wharf_error::Kind;

    fn config(network: NamespaceMode, pid: NamespaceMode) -> PodSandboxConfig {
        let options = NamespaceOption { network: network.into(), pid: pid.into(), ..NamespaceOption::default() };
        let security =
            LinuxSandboxSecurityContext { namespace_options: Some(options), ..LinuxSandboxSecurityContext::default() };
        let linux = LinuxPodSandboxConfig { security_context: Some(security), ..LinuxPodSandboxConfig::default() };
        PodSandboxConfig { linux: Some(linux), hostname: "web-0".into(), ..PodSandboxConfig::default() }
    }

    #[test]
    fn a_pod_that_says_nothing_has_network_and_ipc_of_its_own() {
        let options = sandbox_options(&PodSandboxConfig::default(), "node-1").unwrap();
        assert_eq!((options.network, options.ipc, options.pid), (Namespace::Pod, Namespace::Pod, Namespace::Container));
        assert_eq!(options.hostname, "node-1", "a name of its own, and the node's is what it gets");
        assert_eq!(options.sysctls["net.ipv4.ip_unprivileged_port_start"], "0");
    }

    #[test]
    fn on_the_nodes_network_name_and_settings_are_the_nodes() {
        let options = sandbox_options(&config(NamespaceMode::Node, NamespaceMode::Node), "node-1").unwrap();
        assert_eq!((options.network, options.pid), (Namespace::Node, Namespace::Node));
        assert!(options.hostname.is_empty() && options.sysctls.is_empty());
    }

    #[test]
    fn the_clients_own_settings_win() {
        let mut config = config(NamespaceMode::Pod, NamespaceMode::Container);
        let linux = config.linux.as_mut().unwrap();
        linux.sysctls = BTreeMap::from([("net/ipv4/ip_unprivileged_port_start".to_owned(), "80".to_owned())]);
        linux.cgroup_parent = "kubepods/burstable/x".into();
        let options = sandbox_options(&config, "node-1").unwrap();
        assert_eq!(options.hostname, "web-0");
        assert!(!options.sysctls.contains_key("net.ipv4.ip_unprivileged_port_start"));
        assert_eq!(options.cgroup_parent, "kubepods/burstable/x");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(sandbox_options(&config(NamespaceMode::Container, NamespaceMode::Pod), "n").is_err());
        assert!(sandbox_options(&config(NamespaceMode::Pod, NamespaceMode::Target), "n").is_err());
        let mut long = config(NamespaceMode::Pod, NamespaceMode::Pod);
        long.hostname = "x".repeat(65);
        assert!(sandbox_options(&long, "n").is_err());
        assert_eq!(cgroup_parent("/a/../b".into()).unwrap_err().kind(), Kind::InvalidArgument);
    }

    #[test]
    fn a_user_namespace_is_the_pods_with_mappings_or_the_nodes() {
        use wharf_api::cri::{IdMapping, UserNamespace};
        let with = |mode: NamespaceMode, mapped: bool| {
            let maps = vec![IdMapping { host_id: 100_000, container_id: 0, length: 65_536 }; usize::from(mapped)];
            let user = UserNamespace { mode: mode.into(), uids: maps.clone(), gids: maps };
            let mut config = config(NamespaceMode::Pod, NamespaceMode::Pod);
            let security = config.linux.as_mut().and_then(|linux| linux.security_context.as_mut()).unwrap();
            security.namespace_options.as_mut().unwrap().userns_options = Some(user);
            sandbox_options(&config, "n").map(|options| options.user_namespace)
        };
        assert_eq!(with(NamespaceMode::Node, false).unwrap(), None);
        let user = with(NamespaceMode::Pod, true).unwrap().unwrap();
        assert_eq!((user.uids[0].host, user.gids[0].size), (100_000, 65_536));
        for (mode, mapped) in
            [(NamespaceMode::Pod, false), (NamespaceMode::Node, true), (NamespaceMode::Container, true)]
        {
            assert_eq!(with(mode, mapped).unwrap_err().kind(), Kind::InvalidArgument);
        }
    }

    #[test]
    fn nameservers_are_written_line_by_line() {
        assert_eq!(resolv_conf(None).unwrap(), None);
        assert_eq!(resolv_conf(Some(&DnsConfig::default())).unwrap(), Some(String::new()));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut dns = DnsConfig {
            servers: words(&["192.0.2.1", "192.0.2.2"]),
            searches: words(&["a.test", "b.test"]),
            options: words(&["ndots:5"]),
        };
        let text = resolv_conf(Some(&dns)).unwrap().unwrap();
        assert_eq!(text, "search a.test b.test\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions ndots:5\n");
        dns.options = words(&["x\nnameserver 203.0.113.1"]);
        assert!(resolv_conf(Some(&dns)).is_err());
    }
}
