//! The configuration of a loopback interface, as netlink messages.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The index of `lo`, which is the first interface of every network namespace.
const LO: u32 = 1;
/// The MTU of an EC2 instance's interface. It decides how many packets a response takes.
const MTU: u32 = 9001;
/// The routing table of the host's own addresses, RT_TABLE_LOCAL.
const TABLE_LOCAL: u8 = 255;

/// Messages that bring `lo` up with the given addresses. Connections to one of these addresses come
/// from `source`, if that is given.
pub(crate) fn loopback(addresses: &[IpAddr], source: Option<Ipv4Addr>) -> Vec<Vec<u8>> {
    let mut messages = vec![link_up()];
    messages.extend(addresses.iter().map(|address| add_address(*address)));
    if let Some(source) = source {
        messages.push(add_address(source.into()));
        for address in addresses {
            if let IpAddr::V4(address) = address {
                messages.push(local_route(*address, source));
            }
        }
    }
    messages
}

fn link_up() -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = LO;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    link.attributes = vec![LinkAttribute::Mtu(MTU)];
    encode(RouteNetlinkMessage::SetLink(link), 0)
}

/// The message that adds `address` to `lo`.
fn add_address(address: IpAddr) -> Vec<u8> {
    let message = RouteNetlinkMessage::NewAddress(on_loopback(address));
    encode(message, NLM_F_CREATE | NLM_F_REPLACE)
}

fn on_loopback(address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = LO;
    message.header.scope = AddressScope::Host;
    (message.header.family, message.header.prefix_len) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
        // An IPv6 address without this flag cannot be bound for some milliseconds.
        AddressAttribute::Flags(AddressFlags::Nodad),
    ];
    message
}

fn local_route(to: Ipv4Addr, source: Ipv4Addr) -> Vec<u8> {
    let mut route = RouteMessage::default();
    route.header.address_family = AddressFamily::Inet;
    route.header.destination_prefix_length = 32;
    route.header.table = TABLE_LOCAL;
    route.header.protocol = RouteProtocol::Boot;
    route.header.scope = RouteScope::Host;
    route.header.kind = RouteType::Local;
    route.attributes = vec![
        RouteAttribute::Destination(RouteAddress::Inet(to)),
        RouteAttribute::Oif(LO),
        RouteAttribute::PrefSource(RouteAddress::Inet(source)),
    ];
    encode(
        RouteNetlinkMessage::NewRoute(route),
        NLM_F_CREATE | NLM_F_REPLACE,
    )
}

fn encode(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// A socket for messages about the network namespace of this thread.
pub(crate) fn socket() -> Result<OwnedFd, Errno> {
    net::socket_with(
        net::AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // NETLINK_ROUTE is number 0.
        None,
    )
}

/// Sends a message and waits for the kernel's verdict. Does not allocate.
pub(crate) fn send(socket: &OwnedFd, message: &[u8]) -> Result<(), Errno> {
    net::send(socket, message, SendFlags::empty())?;
    let mut answer = [0; 512];
    let (count, _) = net::recv(socket, &mut answer[..], RecvFlags::empty())?;
    // struct nlmsghdr, 16 bytes, then the negated error number, which is 0 for success.
    let verdict = answer.get(16..20).filter(|_| count >= 20);
    match verdict
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes)
    {
        Some(0) => Ok(()),
        Some(error) => Err(Errno::from_raw_os_error(-error)),
        None => Err(Errno::BADMSG),
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NetlinkPayload;

    use super::*;

    #[test]
    fn messages_are_well_formed() {
        let addresses = ["169.254.169.254", "fd00:ec2::254"].map(|text| text.parse().unwrap());
        let messages = loopback(&addresses, Some(Ipv4Addr::new(10, 0, 1, 5)));
        assert_eq!(messages.len(), 5);
        for message in messages {
            let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&message).unwrap();
            assert_eq!(read.header.length as usize, message.len());
            assert!(matches!(read.payload, NetlinkPayload::InnerMessage(_)));
        }
    }
}
