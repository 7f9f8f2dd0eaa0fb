//! `linux.netDevices`: network interfaces of the caller's namespace that become a container's.

mod netlink;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::fd::{AsFd as _, AsRawFd as _},
    thread,
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope},
    link::{LinkAttribute, LinkFlags, LinkMessage},
};
use oci_spec::runtime::Spec;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use self::netlink::Socket;

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
    /// brings them up there. What has no place in the container any more when it ends, the kernel gives back or removes.
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

fn move_one(outside: &mut Socket, name: &str, new: &str, namespace: &File) -> Result<()> {
    let index = index_of(outside, name)?;
    let addresses = addresses_of(outside, index)?;
    // Before it is moved: the kernel moves first, and an interface without a name that it may have would be lost.
    let there = within(namespace, || links(&mut Socket::open()?))?;
    if there.values().any(|name| name == new) {
        let what = format!("an interface called {new} is in the container's network already");
        return Err(Error::new(Kind::AlreadyExists, what).hint("give it another name, or one with %d for a number"));
    }
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes = vec![LinkAttribute::NetNsFd(namespace.as_raw_fd()), LinkAttribute::IfName(new.to_owned())];
    outside.change(RouteNetlinkMessage::SetLink(link)).step(|| format!("move it, as {new}"))?;
    within(namespace, || settle(new, &there, addresses))
}

/// Runs this in a network namespace: on a thread that ends, for only such a one may enter another.
fn within<T: Send>(namespace: &File, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let inside = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(std::io::Error::from)
            .step(|| "enter the container's network namespace".into())?;
        work()
    };
    let done = thread::scope(|scope| scope.spawn(inside).join());
    done.unwrap_or_else(|_| Err(Error::internal("the thread in the container's network namespace broke off")))
}

/// Gives it its addresses again, which the move took, and brings it up. `there` is what was there before it came.
fn settle(new: &str, there: &BTreeMap<u32, String>, addresses: Vec<AddressMessage>) -> Result<()> {
    let mut socket = Socket::open()?;
    let index = match new.strip_suffix(TEMPLATE) {
        None => index_of(&mut socket, new)?,
        Some(prefix) => {
            let now = links(&mut socket)?;
            let came = now.into_iter().find(|(index, name)| !there.contains_key(index) && name.starts_with(prefix));
            came.ok_or_else(|| Error::internal("it is not there after the move"))?.0
        }
    };
    for mut address in addresses {
        address.header.index = index;
        socket.create(RouteNetlinkMessage::NewAddress(address)).step(|| "give it its address again".into())?;
    }
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    socket.change(RouteNetlinkMessage::SetLink(link)).step(|| "bring it up".into())
}

/// All interfaces by their numbers.
fn links(socket: &mut Socket) -> Result<BTreeMap<u32, String>> {
    let all = socket.list(RouteNetlinkMessage::GetLink(LinkMessage::default()));
    let all = all.step(|| "list interfaces".into())?;
    let named = all.into_iter().filter_map(|message| {
        let RouteNetlinkMessage::NewLink(link) = message else { return None };
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        Some((link.header.index, name?))
    });
    Ok(named.collect())
}

fn index_of(socket: &mut Socket, name: &str) -> Result<u32> {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    let found = socket.get(RouteNetlinkMessage::GetLink(link)).step(|| "look for it".into())?;
    let index = found.into_iter().find_map(|message| match message {
        RouteNetlinkMessage::NewLink(link) => Some(link.header.index),
        _ => None,
    });
    index.ok_or_else(|| Error::new(Kind::NotFound, "it is not there"))
}

/// The permanent addresses of global scope, as they are to be made again.
fn addresses_of(socket: &mut Socket, index: u32) -> Result<Vec<AddressMessage>> {
    let all = socket.list(RouteNetlinkMessage::GetAddress(AddressMessage::default()));
    let all = all.step(|| "list its addresses".into())?;
    let own = all.into_iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewAddress(address) if address.header.index == index => again(address),
        _ => None,
    });
    Ok(own.collect())
}

fn again(mut address: AddressMessage) -> Option<AddressMessage> {
    let mut flags = AddressFlags::from_bits_retain(address.header.flags.bits().into());
    for attribute in &address.attributes {
        if let AddressAttribute::Flags(all) = attribute {
            flags = *all;
        }
    }
    if address.header.scope != AddressScope::Universe || !flags.contains(AddressFlags::Permanent) {
        return None;
    }
    address.header.flags = Default::default();
    address.attributes.retain(|attribute| {
        use AddressAttribute::{Address, Broadcast, Local, RoutePriority};
        matches!(attribute, Address(_) | Local(_) | Broadcast(_) | RoutePriority(_))
    });
    let kept = flags & (AddressFlags::Nodad | AddressFlags::Noprefixroute);
    if !kept.is_empty() {
        address.attributes.push(AddressAttribute::Flags(kept));
    }
    Some(address)
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
