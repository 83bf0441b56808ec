//! Queueing disciplines that delay packets and limit their rate, as netlink messages about the
//! loopback interface.
//!
//! `htb` at the root lets all packets pass, except those that a filter puts into a class: the packets
//! to and from addresses. The class limits the rate. In it, `tbf` splits packets that are longer
//! than the MTU, as the kernel sends them over the loopback interface, and `netem` delays packets.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcFilterU32Option, TcHandle, TcMessage, TcOption, TcU32Key, TcU32Selector,
    TcU32SelectorFlags,
};

use crate::netlink::{LO, MTU, encode};

/// The number of the root, which marks it as ours. Those of the leaves follow.
const ROOT: u16 = 0xec00;
/// The length of the longest packet, with the header of a link.
const LONGEST: u32 = MTU + 14;
/// The number of bytes, and of packets, that wait at most. More are lost.
const QUEUE_BYTES: u32 = 1 << 20;
const QUEUE_PACKETS: u32 = 10_000;
/// A rate that limits nothing, in bytes per second.
const UNLIMITED: u64 = u32::MAX as u64;
/// The bytes that may be sent at once after a pause.
const BURST: u64 = 1600;
/// The kernel checks rates this often per second, or more often.
const TICKS: u64 = 100;
/// The unit of times in messages.
const NANOSECONDS: u128 = 64;
/// TC_LINKLAYER_ETHERNET. Without it, the kernel wants a table of times.
const LINK_LAYER: u8 = 1;
/// ETH_P_IP and ETH_P_IPV6.
const ETHERTYPES: [u16; 2] = [0x0800, 0x86dd];

/// How packets are delayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    /// In bytes per second.
    pub(crate) rate: Option<u64>,
}

/// The message that adds the root, unless there is one.
pub(crate) fn add_root() -> Vec<u8> {
    // struct tc_htb_glob: version, divisor of rates, default class, and two that are not used.
    let options = words(&[3, 10, 0, 0, 0]);
    let mut message = message(handle(ROOT, 0), TcHandle::ROOT, "htb");
    // TCA_HTB_INIT
    message.attributes.push(options_of([(2, options)]));
    add(RouteNetlinkMessage::NewQueueDiscipline(message))
}

/// The message that removes the root, with everything below.
pub(crate) fn remove_root() -> Vec<u8> {
    let message = message(handle(ROOT, 0), TcHandle::ROOT, "htb");
    encode(RouteNetlinkMessage::DelQueueDiscipline(message), 0)
}

/// The message that adds a class.
pub(crate) fn add_class(class: u16, shape: &Shape) -> Vec<u8> {
    let rate = shape.rate.unwrap_or(UNLIMITED);
    let burst = ticks(BURST.max(rate / TICKS), rate);
    // struct tc_htb_opt: rate and ceiling, their bursts, the bytes per turn, level, priority.
    let mut options = [rate_of(rate), rate_of(rate)].concat();
    options.extend(words(&[burst, burst, LONGEST, 0, 0]));
    let wide = rate.to_ne_bytes().to_vec();
    let mut message = message(handle(ROOT, class), handle(ROOT, 0), "htb");
    // The parameters, and the rates with 64 bits: TCA_HTB_RATE64 and TCA_HTB_CEIL64.
    let options = options_of([(1, options), (6, wide.clone()), (7, wide)]);
    message.attributes.push(options);
    add(RouteNetlinkMessage::NewTrafficClass(message))
}

/// The message that removes a class.
pub(crate) fn remove_class(class: u16) -> Vec<u8> {
    let message = message(handle(ROOT, class), handle(ROOT, 0), "htb");
    encode(RouteNetlinkMessage::DelTrafficClass(message), 0)
}

/// The message that splits the long packets of a class.
pub(crate) fn split(class: u16) -> Vec<u8> {
    // struct tc_tbf_qopt: rate and peak rate, the length of the queue, burst, MTU.
    let mut options = [rate_of(UNLIMITED), vec![0; 12]].concat();
    options.extend(words(&[QUEUE_BYTES, 0, 0]));
    let mut message = message(splitter(class), handle(ROOT, class), "tbf");
    // The parameters, and TCA_TBF_BURST.
    message
        .attributes
        .push(options_of([(1, options), (6, words(&[LONGEST]))]));
    add(RouteNetlinkMessage::NewQueueDiscipline(message))
}

/// The message that delays the packets of a class, which are split before if there is a rate.
pub(crate) fn delay(class: u16, shape: &Shape) -> Vec<u8> {
    let parent = match shape.rate {
        Some(_) => handle(splitter(class).major, 1),
        None => handle(ROOT, class),
    };
    let mut message = message(handle(ROOT + 0x20 + class, 0), parent, "netem");
    // struct tc_netem_qopt: delay, the length of the queue, loss, gap, duplicates, jitter.
    let options = words(&[
        time(shape.delay),
        QUEUE_PACKETS,
        0,
        0,
        0,
        time(shape.jitter),
    ]);
    // TCA_OPTIONS. Of this kind, the options begin with numbers.
    let options = TcAttribute::Other(DefaultNla::new(2, options));
    message.attributes.push(options);
    add(RouteNetlinkMessage::NewQueueDiscipline(message))
}

/// The messages that put the packets to and from an address into a class, by filters with a number.
pub(crate) fn select(class: u16, number: u16, address: IpAddr) -> Vec<Vec<u8>> {
    let (offsets, bytes) = match address {
        IpAddr::V4(address) => ([12, 16], address.octets().to_vec()),
        IpAddr::V6(address) => ([8, 24], address.octets().to_vec()),
    };
    offsets
        .into_iter()
        .map(|offset| {
            let mut selector = TcU32Selector::default();
            selector.flags = TcU32SelectorFlags::Terminal;
            for (at, word) in (0..).zip(bytes.chunks_exact(4)) {
                let mut key = TcU32Key::default();
                key.mask = u32::MAX;
                key.val = word.try_into().map_or(0, u32::from_be_bytes);
                key.off = offset + 4 * at;
                selector.keys.push(key);
                selector.nkeys += 1;
            }
            let mut message = filter(number, address);
            message.attributes.push(TcAttribute::Options(vec![
                TcOption::U32(TcFilterU32Option::ClassId(handle(ROOT, class))),
                TcOption::U32(TcFilterU32Option::Selector(selector)),
            ]));
            add(RouteNetlinkMessage::NewTrafficFilter(message))
        })
        .collect()
}

/// The message that removes the filters with a number.
pub(crate) fn deselect(number: u16, address: IpAddr) -> Vec<u8> {
    let message = RouteNetlinkMessage::DelTrafficFilter(filter(number, address));
    encode(message, 0)
}

/// A filter. The number is its priority, so that the filters of an address can be removed together.
fn filter(number: u16, address: IpAddr) -> TcMessage {
    let [ip, ipv6] = ETHERTYPES;
    let ethertype = if address.is_ipv4() { ip } else { ipv6 };
    let mut message = message(TcHandle::UNSPEC, handle(ROOT, 0), "u32");
    message.header.info = u32::from(number) << 16 | u32::from(ethertype.to_be());
    message
}

fn message(handle: TcHandle, parent: TcHandle, kind: &str) -> TcMessage {
    let mut message = TcMessage::with_index(LO.cast_signed());
    message.header.handle = handle;
    message.header.parent = parent;
    message.attributes = vec![TcAttribute::Kind(kind.to_owned())];
    message
}

fn add(message: RouteNetlinkMessage) -> Vec<u8> {
    encode(message, NLM_F_CREATE | NLM_F_EXCL)
}

fn splitter(class: u16) -> TcHandle {
    handle(ROOT + 0x10 + class, 0)
}

const fn handle(major: u16, minor: u16) -> TcHandle {
    TcHandle { major, minor }
}

fn options_of<const N: usize>(options: [(u16, Vec<u8>); N]) -> TcAttribute {
    let options = options.map(|(kind, value)| TcOption::Other(DefaultNla::new(kind, value)));
    TcAttribute::Options(options.into())
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// struct tc_ratespec. The kernel prefers the 64 bits of another attribute, if there is one.
fn rate_of(rate: u64) -> Vec<u8> {
    let mut bytes = vec![0, LINK_LAYER, 0, 0, 0, 0, 0, 0];
    bytes.extend(u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
    bytes
}

/// How long a number of bytes takes.
fn ticks(bytes: u64, rate: u64) -> u32 {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    units(nanoseconds)
}

fn time(time: Duration) -> u32 {
    units(time.as_nanos())
}

fn units(nanoseconds: u128) -> u32 {
    u32::try_from(nanoseconds / NANOSECONDS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compared with what `strace tc qdisc add … netem delay 40ms 1ms limit 10000` shows, because not
    /// every kernel has netem.
    #[test]
    fn a_delay_is_encoded_as_tc_does() {
        let shape = Shape {
            delay: Duration::from_millis(40),
            jitter: Duration::from_millis(1),
            rate: None,
        };
        let message = delay(1, &shape);
        let header = words(&[LO, 0xec21_0000, 0xec00_0001, 0]);
        let options = words(&[0x0009_8968, 0x2710, 0, 0, 0, 0x3d09]);
        assert_eq!(message.len(), 76);
        assert_eq!(message[20..36], header);
        assert_eq!(&message[40..46], b"netem\0");
        assert_eq!(message[52..], options);
    }
}
