//! A network in which nothing answers, as netlink messages: a pair of virtual Ethernet interfaces, the
//! first of which has a route to an address that the second does not have.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::netlink::encode;

/// The interfaces.
const NEAR: (u32, &str) = (1000, "eth0");
const FAR: (u32, &str) = (1001, "nowhere");
/// The main routing table, RT_TABLE_MAIN.
const TABLE_MAIN: u8 = 254;

/// Messages that make `addresses` lead to where nothing answers.
pub(crate) fn network(addresses: &[IpAddr]) -> Vec<Vec<u8>> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let (mut near, mut far) = (link(NEAR), link(FAR));
    let up = encode(RouteNetlinkMessage::SetLink(far.clone()), 0);
    // It cannot be up before it has a peer.
    far.header.flags = LinkFlags::Noarp;
    near.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
    ]));
    let mut messages = vec![new(RouteNetlinkMessage::NewLink(near)), up];
    for address in addresses {
        messages.push(new(RouteNetlinkMessage::NewAddress(source(*address))));
        messages.push(new(RouteNetlinkMessage::NewRoute(route(*address))));
    }
    messages
}

fn new(message: RouteNetlinkMessage) -> Vec<u8> {
    encode(message, NLM_F_CREATE | NLM_F_EXCL)
}

/// An interface that is up and asks nobody for the Ethernet address of a neighbour, because no answer
/// would make a connection fail.
fn link((index, name): (u32, &str)) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up | LinkFlags::Noarp;
    link.header.change_mask = LinkFlags::Up | LinkFlags::Noarp;
    link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    link
}

/// An address of the interface, from which connections to `address` come.
fn source(address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = NEAR.0;
    (message.header.family, message.header.prefix_len) = family(address);
    message.attributes = vec![
        AddressAttribute::Local(beside(address)),
        AddressAttribute::Address(beside(address)),
        AddressAttribute::Flags(AddressFlags::Nodad),
    ];
    message
}

fn route(address: IpAddr) -> RouteMessage {
    let mut route = RouteMessage::default();
    (
        route.header.address_family,
        route.header.destination_prefix_length,
    ) = family(address);
    route.header.table = TABLE_MAIN;
    route.header.protocol = RouteProtocol::Boot;
    route.header.scope = RouteScope::Link;
    route.header.kind = RouteType::Unicast;
    route.attributes = vec![
        RouteAttribute::Destination(match address {
            IpAddr::V4(address) => RouteAddress::Inet(address),
            IpAddr::V6(address) => RouteAddress::Inet6(address),
        }),
        RouteAttribute::Oif(NEAR.0),
    ];
    route
}

const fn family(address: IpAddr) -> (AddressFamily, u8) {
    match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    }
}

/// Another address of the same network.
fn beside(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() ^ 2).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() ^ 2).into()),
    }
}
