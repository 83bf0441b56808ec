//! The configuration of a loopback interface, as netlink messages.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, SocketType};

use crate::namespace::Kind;

/// The index of `lo`, which is the first interface of every network namespace.
pub(crate) const LO: u32 = 1;
/// The MTU of an EC2 instance's interface. It decides how many packets a response takes.
pub(crate) const MTU: u32 = 9001;
/// The routing table of the host's own addresses, RT_TABLE_LOCAL.
const TABLE_LOCAL: u8 = 255;
/// Marks the addresses that this crate adds to a namespace that exists (IFA_PROTO, Linux 5.18). The
/// kernel uses 1 to 3 itself.
const OURS: AddressProtocol = AddressProtocol::Other(MARK);
/// Marks the routes that prohibit an address, so that the next process can remove what a killed one
/// left.
const PROHIBITION: RouteProtocol = RouteProtocol::Other(MARK);
const MARK: u8 = 0xec;
/// Comes after the routes for IPv6 that have no metric (1,024) or the kernel's (0).
const LAST: u32 = 1025;
/// The room for a part of a dump. The kernel sends no longer part.
const PART: usize = 32 * 1024;

/// Messages that bring `lo` up with the given addresses. Connections to one of these addresses come
/// from `source`, if that is given.
pub(crate) fn loopback(addresses: &[IpAddr], source: Option<Ipv4Addr>) -> Vec<Vec<u8>> {
    let mut messages = vec![link_up(Some(MTU))];
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

/// The message that brings `lo` up, and sets its MTU.
pub(crate) fn link_up(mtu: Option<u32>) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = LO;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    link.attributes = mtu.map(LinkAttribute::Mtu).into_iter().collect();
    encode(RouteNetlinkMessage::SetLink(link), 0)
}

/// The message that adds `address` to `lo`.
fn add_address(address: IpAddr) -> Vec<u8> {
    let message = RouteNetlinkMessage::NewAddress(on_loopback(address));
    encode(message, NLM_F_CREATE | NLM_F_REPLACE)
}

/// The message that adds `address` to `lo`, with a mark, unless `lo` has it.
pub(crate) fn add_address_that_is_ours(address: IpAddr) -> Vec<u8> {
    let mut message = on_loopback(address);
    message.attributes.push(AddressAttribute::Protocol(OURS));
    let message = RouteNetlinkMessage::NewAddress(message);
    encode(message, NLM_F_CREATE | NLM_F_EXCL)
}

/// The message that removes `address` from `lo`.
pub(crate) fn remove_address(address: IpAddr) -> Vec<u8> {
    encode(RouteNetlinkMessage::DelAddress(on_loopback(address)), 0)
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
    let mut route = route(to.into(), RouteType::Local);
    let source = RouteAddress::Inet(source);
    route.attributes.push(RouteAttribute::PrefSource(source));
    new_route(route)
}

/// The message that adds a route to an address of `lo` that lets connecting fail. For IPv4, it replaces
/// the route that is there. For IPv6, it is used when there is no other.
pub(crate) fn prohibit(address: IpAddr) -> Vec<u8> {
    let mut route = route(address, RouteType::Prohibit);
    if address.is_ipv6() {
        route.attributes.push(RouteAttribute::Priority(LAST));
    }
    new_route(route)
}

/// Messages that restore the route to an address of `lo`.
pub(crate) fn allow(address: IpAddr, source: Option<Ipv4Addr>) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(address) => vec![local_route(address, source.unwrap_or(address))],
        IpAddr::V6(_) => vec![
            remove_local_route(address),
            new_route(route(address, RouteType::Local)),
            remove_prohibition(address),
        ],
    }
}

/// The message that removes the route to an address of `lo`, whatever it is. With the address, the
/// kernel removes its own route only.
pub(crate) fn remove_route(address: IpAddr) -> Vec<u8> {
    remove(address, RouteProtocol::Unspec)
}

/// The message that removes the route of the kernel to an address of `lo`, or the one that
/// [`allow`] has put in its place.
pub(crate) fn remove_local_route(address: IpAddr) -> Vec<u8> {
    remove(address, RouteProtocol::Kernel)
}

/// The message that removes the route that prohibits an address.
pub(crate) fn remove_prohibition(address: IpAddr) -> Vec<u8> {
    remove(address, PROHIBITION)
}

/// The message that removes the route that a protocol has added. The kernel ignores the type of a route
/// for IPv6.
fn remove(address: IpAddr, protocol: RouteProtocol) -> Vec<u8> {
    let mut route = route(address, RouteType::Unspec);
    route.header.protocol = protocol;
    encode(RouteNetlinkMessage::DelRoute(route), 0)
}

/// The route to an address of `lo`.
fn route(to: IpAddr, kind: RouteType) -> RouteMessage {
    let mut route = RouteMessage::default();
    let (family, length, to) = match to {
        IpAddr::V4(to) => (AddressFamily::Inet, 32, RouteAddress::Inet(to)),
        IpAddr::V6(to) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(to)),
    };
    route.header.address_family = family;
    route.header.destination_prefix_length = length;
    route.header.table = TABLE_LOCAL;
    // As if the kernel had added it, so that it removes the route to an IPv4 address with the address.
    route.header.protocol = match kind {
        RouteType::Prohibit => PROHIBITION,
        _ => RouteProtocol::Kernel,
    };
    route.header.scope = RouteScope::Host;
    route.header.kind = kind;
    route.attributes = vec![RouteAttribute::Destination(to)];
    if kind == RouteType::Local {
        route.attributes.push(RouteAttribute::Oif(LO));
    }
    route
}

fn new_route(route: RouteMessage) -> Vec<u8> {
    let flags = match route.header.address_family {
        AddressFamily::Inet => NLM_F_CREATE | NLM_F_REPLACE,
        _ => NLM_F_CREATE,
    };
    encode(RouteNetlinkMessage::NewRoute(route), flags)
}

pub(crate) fn encode(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// A socket for messages about interfaces, addresses and routes (NETLINK_ROUTE, which is number 0).
pub(crate) const ROUTE: Kind = Kind(net::AddressFamily::NETLINK, SocketType::RAW, None);

/// Sends a message and waits for the kernel's verdict. Does not allocate.
pub(crate) fn send(socket: &OwnedFd, message: &[u8]) -> Result<(), Errno> {
    net::send(socket, message, SendFlags::empty())?;
    let mut answer = [0; 512];
    let (count, _) = net::recv(socket, &mut answer[..], RecvFlags::empty())?;
    verdict(answer.get(..count).unwrap_or_default())
}

/// The kernel's verdict about a message.
pub(crate) fn verdict(answer: &[u8]) -> Result<(), Errno> {
    // struct nlmsghdr, 16 bytes, then the negated error number, which is 0 for success.
    match answer
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes)
    {
        Some(0) => Ok(()),
        Some(error) => Err(Errno::from_raw_os_error(-error)),
        None => Err(Errno::BADMSG),
    }
}

/// The interfaces and addresses of a network namespace.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<Address>,
}

#[derive(Debug)]
pub(crate) struct Link {
    index: u32,
    pub(crate) name: String,
    is_up: bool,
    /// Whether it belongs to a device on a bus, such as PCI or virtio (Linux 5.15).
    pub(crate) is_hardware: bool,
}

#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) link: u32,
    pub(crate) ip: IpAddr,
    /// Whether this crate has added it.
    pub(crate) is_ours: bool,
}

impl State {
    /// Asks the kernel through a socket in the namespace.
    pub(crate) fn read(socket: &OwnedFd) -> io::Result<Self> {
        let mut state = Self::default();
        let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        for question in [links, addresses] {
            dump(socket, question, |part| state.add(part))?;
        }
        Ok(state)
    }

    fn add(&mut self, part: RouteNetlinkMessage) {
        match part {
            RouteNetlinkMessage::NewLink(link) => self.links.push(Link::new(&link)),
            RouteNetlinkMessage::NewAddress(address) => {
                self.addresses.extend(Address::new(&address));
            }
            _ => {}
        }
    }

    /// The name of an interface.
    pub(crate) fn name(&self, index: u32) -> String {
        let link = self.links.iter().find(|link| link.index == index);
        link.map_or_else(|| format!("number {index}"), |link| link.name.clone())
    }

    /// Whether the loopback interface has an address.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        let mut addresses = self.addresses.iter();
        addresses.any(|present| (present.link, present.ip) == (LO, ip))
    }

    pub(crate) fn is_lo_up(&self) -> bool {
        self.links.iter().any(|link| link.index == LO && link.is_up)
    }
}

impl Link {
    fn new(message: &LinkMessage) -> Self {
        let attributes = &message.attributes;
        let name = attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        });
        Self {
            index: message.header.index,
            name: name.unwrap_or_default(),
            is_up: message.header.flags.contains(LinkFlags::Up),
            is_hardware: attributes
                .iter()
                .any(|attribute| matches!(attribute, LinkAttribute::ParentDevName(_))),
        }
    }
}

impl Address {
    fn new(message: &AddressMessage) -> Option<Self> {
        let attributes = &message.attributes;
        // Of a point-to-point connection, IFA_ADDRESS is the other end.
        let local = attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(ip) => Some(*ip),
            _ => None,
        });
        let address = attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        });
        Some(Self {
            link: message.header.index,
            ip: local.or(address)?,
            is_ours: attributes.contains(&AddressAttribute::Protocol(OURS)),
        })
    }
}

/// Asks for everything of a kind.
fn dump(
    socket: &OwnedFd,
    question: RouteNetlinkMessage,
    mut each: impl FnMut(RouteNetlinkMessage),
) -> io::Result<()> {
    let mut question = NetlinkMessage::from(question);
    question.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    net::send(socket, &bytes, SendFlags::empty())?;
    let mut part = vec![0; PART];
    loop {
        let (count, _) = net::recv(socket, &mut part[..], RecvFlags::empty())?;
        let mut rest = part.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            match message.payload {
                NetlinkPayload::InnerMessage(message) => each(message),
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
            // Messages are aligned to 4 bytes.
            let length = message.header.length.next_multiple_of(4);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
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
    #[test]
    fn hardware_and_marked_addresses_are_recognised() {
        let mut link = LinkMessage::default();
        link.attributes = vec![LinkAttribute::IfName("eth0".into())];
        assert!(!Link::new(&link).is_hardware);
        link.attributes
            .push(LinkAttribute::ParentDevName("0000:00:05.0".into()));
        assert!(Link::new(&link).is_hardware);

        let ip = "fd00:ec2::254".parse().unwrap();
        let written = add_address_that_is_ours(ip);
        let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&written).unwrap();
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(read)) = read.payload
        else {
            panic!("{read:?}");
        };
        let address = Address::new(&read).unwrap();
        assert!(address.is_ours);
        assert_eq!((address.link, address.ip), (LO, ip));
        assert!(!Address::new(&on_loopback(ip)).unwrap().is_ours);
    }
    #[test]
    fn the_state_is_that_of_the_present_namespace() {
        let state = State::read(&ROUTE.open().unwrap()).unwrap();
        assert_eq!(state.name(LO), "lo");
        for link in &state.links {
            let device = std::path::Path::new("/sys/class/net")
                .join(&link.name)
                .join("device");
            assert_eq!(link.is_hardware, device.exists(), "{link:?}");
        }
        if state.is_lo_up() {
            let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let mut addresses = state.addresses.iter();
            assert!(addresses.any(|present| (present.link, present.ip) == (LO, localhost)));
        }
    }
}
