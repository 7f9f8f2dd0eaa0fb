use std::{
    collections::BTreeMap,
    fs::File,
    os::fd::{AsFd as _, AsRawFd as _},
    thread,
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope},
    link::{LinkAttribute, LinkFlags, LinkMessage},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{TEMPLATE, netlink::Socket};

/// Moves one interface, which gets a new name there.
pub(super) fn move_one(outside: &mut Socket, name: &str, new: &str, namespace: &File) -> Result<()> {
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
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("net-devices".into()).spawn_scoped(scope, inside);
        let thread = thread.step(|| "start a thread for the container's network namespace".into())?;
        let broke = |_| Err(Error::internal("the thread in the container's network namespace broke off"));
        thread.join().unwrap_or_else(broke)
    })
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
