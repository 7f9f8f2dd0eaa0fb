//! `linux.netDevices`: network interfaces of the caller's namespace that become a container's.

mod moving;
mod netlink;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
};

use oci_spec::runtime::Spec;
use wharf_error::{Error, Result, ResultExt as _};

use self::{moving::move_one, netlink::Socket};

/// The kernel's `IFNAMSIZ`, without the end.
const LONGEST_NAME: usize = 15;

/// At the end of a name inside: the kernel puts a number that is free.
const TEMPLATE: &str = "%d";

/// Interfaces by their names outside, with those that they get inside.
#[derive(Debug, Default)]
pub(crate) struct NetDevices(BTreeMap<String, String>);

impl NetDevices {
    /// Those of a specification, for a container that has a network namespace of its own or joins one.
    pub(crate) fn of(spec: &Spec, has_network: bool) -> Result<Self> {
        let asked = spec.linux().as_ref().and_then(|linux| linux.net_devices().as_ref());
        let mut devices = BTreeMap::new();
        let mut inside = BTreeSet::new();
        for (name, device) in asked.into_iter().flatten() {
            let new = device.name().as_deref().filter(|new| !new.is_empty()).unwrap_or(name);
            check(name).and_then(|()| check(new.strip_suffix(TEMPLATE).unwrap_or(new))).step(|| field(name))?;
            if !inside.insert(new.to_owned()) && !new.ends_with(TEMPLATE) {
                return Err(Error::invalid(format!("{}: two would be called {new}", field(name))));
            }
            devices.insert(name.clone(), new.to_owned());
        }
        if !devices.is_empty() && !has_network {
            return Err(Error::invalid("linux.netDevices: linux.namespaces does not list network"));
        }
        Ok(Self(devices))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves them into the network namespace of a process that is there, with their permanent global addresses, and
    /// brings them up there. When the namespace ends the kernel gives physical ones back to the node's and removes the
    /// others. One that was moved before another failed stays where it is: in a pod's namespace until that ends.
    pub(crate) fn move_to(&self, pid: i32) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let path = format!("/proc/{pid}/ns/net");
        let namespace = File::open(&path).step(|| format!("linux.netDevices: open {path}"))?;
        let mut outside = Socket::open()?;
        for (name, new) in &self.0 {
            move_one(&mut outside, name, new, &namespace).step(|| field(name))?;
        }
        Ok(())
    }
}

/// What the kernel takes for a name.
fn check(name: &str) -> Result<()> {
    let bad = |c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > LONGEST_NAME || name == "." || name == ".." || name.contains(bad) {
        return Err(Error::invalid(format!("{name:?} is no interface's name")));
    }
    Ok(())
}

fn field(name: &str) -> String {
    format!("linux.netDevices[{name}]")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wharf_error::Kind;

    use super::*;

    fn devices(asked: Value) -> Result<NetDevices> {
        let spec = json!({ "ociVersion": "1.3.0", "linux": { "netDevices": asked } });
        NetDevices::of(&serde_json::from_value(spec).unwrap(), true)
    }

    #[test]
    fn a_name_is_kept_or_changed() {
        let found = devices(json!({ "eth0": {}, "eth1": { "name": "lan" }, "eth2": { "name": "w%d" } })).unwrap().0;
        let found: Vec<_> = found.iter().map(|(name, new)| (name.as_str(), new.as_str())).collect();
        assert_eq!(found, [("eth0", "eth0"), ("eth1", "lan"), ("eth2", "w%d")]);
    }

    #[test]
    fn what_is_no_name_is_refused_by_its_field() {
        for bad in ["", ".", "..", "a/b", "a b", "a:1", "eth%dx", "%d", "sixteen-letters-"] {
            let error = devices(json!({ bad: {} })).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{bad:?}: {error}");
            if !bad.is_empty() {
                assert!(devices(json!({ "eth0": { "name": bad } })).is_err(), "{bad:?}");
            }
        }
        let error = devices(json!({ "eth0": { "name": "x" }, "eth1": { "name": "x" } })).unwrap_err();
        assert!(error.to_string().contains("two would be called x"), "{error}");
        let spec = json!({ "ociVersion": "1.3.0", "linux": { "netDevices": { "eth0": {} } } });
        let error = NetDevices::of(&serde_json::from_value(spec).unwrap(), false).unwrap_err();
        assert!(error.to_string().contains("does not list network"), "{error}");
    }
}
