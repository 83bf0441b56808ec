//! Packet filters that drop packets at random, as netlink messages to nftables.
//!
//! The packets of a connection over the loopback interface pass the hook `input` of the same network
//! in both directions. A packet that is dropped there was sent, as one that a network loses.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage,
};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Cmp, DataAttribute, Expressions, Hook, Immediate, InetHookNumber,
    Meta, MetaKey, NfTablesMessage, Operator, Payload, Register, RuleAttribute, RuleMessage,
    TableAttribute, TableMessage, Verdict, VerdictAttribute,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketType};

use crate::namespace::Kind;
use crate::netlink::{LO, verdict};

/// A socket for messages about packet filters.
pub(crate) const NETFILTER: Kind = Kind(
    AddressFamily::NETLINK,
    SocketType::RAW,
    Some(net::netlink::NETFILTER),
);
/// The number of nftables among the subsystems, NFNL_SUBSYS_NFTABLES.
const NFTABLES: u16 = 10;
/// The chain's name.
const CHAIN: &str = "input";
/// How finely the fraction of lost packets is divided.
const MODULUS: u32 = 1_000_000;
/// NFT_PAYLOAD_NETWORK_HEADER.
const NETWORK_HEADER: u32 = 1;
/// NFT_NG_RANDOM.
const RANDOM: u32 = 1;
/// NFT_BYTEORDER_HTON.
const HOST_TO_NETWORK: u32 = 1;
/// NF_DROP.
const DROP: Verdict = Verdict::Other(0);

/// Lets a fraction of the packets to and from an address be lost, in a table of its own.
pub(crate) fn start(
    socket: &OwnedFd,
    table: u16,
    address: IpAddr,
    fraction: f64,
) -> Result<(), Errno> {
    let name = name(table);
    let mut chain = ChainMessage {
        attributes: vec![
            ChainAttribute::Table(name.clone()),
            ChainAttribute::Name(CHAIN.into()),
            ChainAttribute::Type("filter".into()),
        ],
    };
    chain.attributes.push(ChainAttribute::Hook(vec![
        Hook::Number(InetHookNumber::LocalIn.into()),
        Hook::Priority(0),
    ]));
    let [from, to] = rules(&name, address, fraction);
    let messages = [
        (
            NfTablesMessage::NewTable(table_message(&name)),
            NLM_F_CREATE,
        ),
        (NfTablesMessage::NewChain(chain), NLM_F_CREATE),
        (NfTablesMessage::NewRule(from), NLM_F_CREATE | NLM_F_APPEND),
        (NfTablesMessage::NewRule(to), NLM_F_CREATE | NLM_F_APPEND),
    ];
    send(socket, family(address), messages)
}

/// Removes the table.
pub(crate) fn end(socket: &OwnedFd, table: u16, address: IpAddr) -> Result<(), Errno> {
    let table = table_message(&name(table));
    send(
        socket,
        family(address),
        [(NfTablesMessage::DeleteTable(table), 0)],
    )
}

fn name(table: u16) -> String {
    format!("imds-emulator-{table}")
}

fn table_message(name: &str) -> TableMessage {
    TableMessage {
        attributes: vec![TableAttribute::Name(name.to_owned())],
    }
}

/// The rules for the packets from the address, and for the other packets to it. A packet from the
/// address to itself meets one rule only, so it is not at risk twice.
fn rules(table: &str, address: IpAddr, fraction: f64) -> [RuleMessage; 2] {
    let (source, destination, bytes) = match address {
        IpAddr::V4(address) => (12, 16, address.octets().to_vec()),
        IpAddr::V6(address) => (8, 24, address.octets().to_vec()),
    };
    let length = u32::from(if address.is_ipv4() { 4_u8 } else { 16 });
    let has = |offset, operator| {
        [
            Expressions::Payload(vec![
                Payload::DestinationRegister(Register::Reg1),
                Payload::Base(NETWORK_HEADER),
                Payload::Offset(offset),
                Payload::Len(length),
            ]),
            compare(operator, bytes.clone()),
        ]
    };
    let from = has(source, Operator::Equal);
    let not_from = has(source, Operator::NotEqual);
    let to = has(destination, Operator::Equal);
    [from.to_vec(), [not_from, to].concat()].map(|addresses| {
        let mut expressions = vec![
            Expressions::Meta(vec![
                Meta::DestinationRegister(Register::Reg1),
                Meta::Key(MetaKey::Iif),
            ]),
            compare(Operator::Equal, LO.to_ne_bytes().to_vec()),
        ];
        expressions.extend(addresses);
        expressions.extend([
            // NFTA_NG_DREG, NFTA_NG_MODULUS, NFTA_NG_TYPE
            other(
                "numgen",
                [(1, Register::Reg1.into()), (2, MODULUS), (3, RANDOM)],
            ),
            // NFTA_BYTEORDER_SREG, _DREG, _OP, _LEN and _SIZE
            other(
                "byteorder",
                [
                    (1, Register::Reg1.into()),
                    (2, Register::Reg1.into()),
                    (3, HOST_TO_NETWORK),
                    (4, 4),
                    (5, 4),
                ],
            ),
            compare(Operator::LessThan, limit(fraction).to_be_bytes().to_vec()),
            Expressions::Immediate(vec![
                Immediate::DestinationRegister(Register::Verdict),
                Immediate::Data(DataAttribute::Verdict(vec![VerdictAttribute::Code(DROP)])),
            ]),
        ]);
        RuleMessage {
            attributes: vec![
                RuleAttribute::Table(table.to_owned()),
                RuleAttribute::Chain(CHAIN.into()),
                RuleAttribute::Expressions(expressions.into_iter().map(Into::into).collect()),
            ],
        }
    })
}

/// Of `MODULUS` random numbers, those below this one let a packet be lost.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between 0 and the modulus"
)]
fn limit(fraction: f64) -> u32 {
    (fraction.clamp(0.0, 1.0) * f64::from(MODULUS)).round() as u32
}

fn compare(operator: Operator, with: Vec<u8>) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(with)),
    ])
}

/// An expression that the library has no type for.
fn other<const N: usize>(name: &str, numbers: [(u16, u32); N]) -> Expressions {
    Expressions::Other {
        expression_type: name.into(),
        attributes: numbers
            .map(|(kind, number)| DefaultNla::new(kind, number.to_be_bytes().into()))
            .into(),
    }
}

fn family(address: IpAddr) -> NetfilterProtoFamily {
    match address {
        IpAddr::V4(_) => NetfilterProtoFamily::IPv4,
        IpAddr::V6(_) => NetfilterProtoFamily::IPv6,
    }
}

/// Sends messages that take effect together, or not at all.
fn send<const N: usize>(
    socket: &OwnedFd,
    family: NetfilterProtoFamily,
    messages: [(NfTablesMessage, u16); N],
) -> Result<(), Errno> {
    let edge = |message: ControlMessage| {
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES);
        encode(NetfilterMessage::new(header, message), 0)
    };
    let mut bytes = edge(ControlMessage::BatchBegin);
    for (at, (message, flags)) in messages.into_iter().enumerate() {
        let header = NetfilterHeader::new(family, 0, 0);
        let message = NetfilterMessage::new(header, NetfilterMessageInner::from(message));
        // A success is reported once, and every failure.
        let flags = if at + 1 == N {
            flags | NLM_F_ACK
        } else {
            flags
        };
        bytes.extend(encode(message, flags));
    }
    bytes.extend(edge(ControlMessage::BatchEnd));
    net::send(socket, &bytes, SendFlags::empty())?;
    let mut outcome = Err(Errno::BADMSG);
    let mut answer = [0; 512];
    // The kernel has answered when it has taken the messages. The first answer is the cause.
    while let Ok((count, _)) = net::recv(socket, &mut answer[..], RecvFlags::DONTWAIT) {
        if outcome == Err(Errno::BADMSG) {
            outcome = verdict(answer.get(..count).unwrap_or_default());
        }
    }
    outcome
}

fn encode(message: NetfilterMessage, flags: u16) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}
