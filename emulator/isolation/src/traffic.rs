//! What becomes of packets to and from an address of the loopback interface.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use crate::loss::{self, NETFILTER};
use crate::namespace::sockets_apart;
use crate::netlink::ROUTE;
use crate::routes::Routes;
use crate::shaping::{self, Shape};

/// The numbers that [`Imposed`] uses. There are two addresses of IMDS, and one to try something with.
const NUMBERS: RangeInclusive<u16> = 1..=8;

/// What becomes of packets. By default, they arrive at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The fraction of packets that are lost, 0 to 1.
    pub loss: f64,
    /// How late each packet arrives.
    pub delay: Duration,
    /// The maximum that is added to or subtracted from the delay at random.
    pub jitter: Duration,
    /// The total rate for both directions, in bytes per second, headers included.
    pub bandwidth: Option<u64>,
}

/// The packets to and from the addresses of a namespace's loopback interface.
#[derive(Clone, Debug)]
pub struct Traffic {
    routes: Routes,
    /// A socket in the namespace, for one batch of messages at a time.
    filters: Option<Arc<Mutex<OwnedFd>>>,
    /// The numbers that are in use, with the class of each that shapes packets. Locked while queueing
    /// disciplines are changed.
    used: Arc<Mutex<BTreeMap<u16, Option<Class>>>>,
}

/// A class of packets that are shaped together.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Class {
    number: u16,
    shape: Shape,
}

impl Traffic {
    pub(crate) fn new(routes: Routes, filters: Option<OwnedFd>) -> Self {
        Self {
            routes,
            filters: filters.map(|socket| Arc::new(Mutex::new(socket))),
            used: Arc::default(),
        }
    }

    /// The traffic of a namespace that nothing uses, to try what the kernel can do.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be made.
    pub fn apart() -> io::Result<Self> {
        let mut sockets = sockets_apart(&[ROUTE, NETFILTER])?.into_iter();
        match (sockets.next(), sockets.next()) {
            (Some(routes), Some(filters)) => {
                Ok(Self::new(Routes::new(routes?, None), filters.ok()))
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Imposes conditions on packets to and from an address, until the result is dropped. Addresses with
    /// the same conditions share their bandwidth.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it, or has no module for it. Nothing is imposed then. The error is
    /// `AlreadyExists` if the loopback interface has a queueing discipline that is not ours.
    pub fn impose(&self, address: IpAddr, conditions: &Conditions) -> Result<Imposed, ImposeError> {
        let mut used = self.used();
        let number = NUMBERS
            .into_iter()
            .find(|number| !used.contains_key(number));
        let number = number.ok_or_else(|| ImposeError {
            part: Part::Loss,
            source: io::ErrorKind::QuotaExceeded.into(),
        })?;
        let shape = Shape {
            delay: conditions.delay,
            jitter: conditions.jitter,
            rate: conditions.bandwidth,
        };
        used.insert(number, None);
        drop(used);
        // If a step fails, the earlier ones are undone.
        let imposed = Imposed {
            traffic: self.clone(),
            address,
            number,
        };
        if conditions.loss > 0.0 {
            let filters = self.filters.as_ref().ok_or(Errno::PROTONOSUPPORT);
            filters
                .and_then(|socket| {
                    let socket = socket.lock().unwrap_or_else(PoisonError::into_inner);
                    loss::start(&socket, number, address, conditions.loss)
                })
                .map_err(|errno| Part::Loss.error(errno))?;
        }
        if shape.rate.is_some() || !shape.delay.is_zero() {
            self.shape(address, number, shape)?;
        }
        Ok(imposed)
    }

    fn shape(&self, address: IpAddr, number: u16, shape: Shape) -> Result<(), ImposeError> {
        let mut used = self.used();
        let same = used.values().flatten().find(|class| class.shape == shape);
        let class = match same.copied() {
            Some(class) => class,
            None => {
                let is_free =
                    |free: &u16| !used.values().flatten().any(|class| class.number == *free);
                // There are as many classes as numbers, and this one has none yet.
                let free = NUMBERS.into_iter().find(is_free).unwrap_or(number);
                Class {
                    number: free,
                    shape,
                }
            }
        };
        let is_new = same.is_none();
        used.insert(number, Some(class));
        let common = match shape.rate {
            Some(_) => Part::Bandwidth,
            None => Part::Delay,
        };
        if is_new {
            self.add(class, common)?;
        }
        for message in shaping::select(class.number, number, address) {
            let sent = self.routes.send(&message);
            sent.map_err(|errno| common.error(errno))?;
        }
        Ok(())
    }

    fn add(&self, class: Class, common: Part) -> Result<(), ImposeError> {
        let send = |part: Part, message: &[u8]| {
            let sent = self.routes.send(message);
            sent.map_err(|errno| part.error(errno))
        };
        let Class { number, shape } = class;
        let root = self.routes.send(&shaping::add_root());
        match root {
            // Perhaps another class needs it as well.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(common.error(errno)),
        }
        match self.routes.send(&shaping::add_class(number, &shape)) {
            Ok(()) => {}
            // The root is not ours, so it has no such classes.
            Err(Errno::NOENT) if root.is_err() => return Err(common.error(Errno::EXIST)),
            Err(errno) => return Err(common.error(errno)),
        }
        if shape.rate.is_some() {
            send(Part::Bandwidth, &shaping::split(number))?;
        }
        if !shape.delay.is_zero() {
            send(Part::Delay, &shaping::delay(number, &shape))?;
        }
        Ok(())
    }

    /// Removes what a process has left behind that was killed.
    pub(crate) fn clear(&self) {
        let _ = self.routes.send(&shaping::remove_root());
        let Some(filters) = &self.filters else { return };
        let filters = filters.lock().unwrap_or_else(PoisonError::into_inner);
        for number in NUMBERS {
            for address in [[0; 4].into(), [0; 16].into()] {
                let _ = loss::end(&filters, number, address);
            }
        }
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<u16, Option<Class>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Conditions that are in force. They end when this is dropped.
#[derive(Debug)]
pub struct Imposed {
    traffic: Traffic,
    address: IpAddr,
    number: u16,
}

impl Drop for Imposed {
    // The namespace may be gone, or somebody has removed something by hand.
    fn drop(&mut self) {
        let Self {
            traffic,
            address,
            number,
        } = self;
        if let Some(filters) = &traffic.filters {
            let filters = filters.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = loss::end(&filters, *number, *address);
        }
        let mut used = traffic.used();
        if let Some(Some(class)) = used.remove(number) {
            let send = |message: &[u8]| {
                let _ = traffic.routes.send(message);
            };
            send(&shaping::deselect(*number, *address));
            let mut others = used.values().flatten();
            if !others.any(|other| other.number == class.number) {
                send(&shaping::remove_class(class.number));
            }
            if !used.values().any(Option::is_some) {
                send(&shaping::remove_root());
            }
        }
    }
}

/// A part of [`Conditions`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// The loss of packets.
    Loss,
    /// The delay of packets.
    Delay,
    /// The limit of bytes per second.
    Bandwidth,
}

impl Part {
    /// The modules of the kernel that it needs.
    pub fn modules(self) -> &'static str {
        match self {
            Self::Loss => "nf_tables and nft_numgen",
            Self::Delay => "sch_netem, sch_htb and cls_u32",
            Self::Bandwidth => "sch_tbf, sch_htb and cls_u32",
        }
    }

    fn error(self, errno: Errno) -> ImposeError {
        ImposeError {
            part: self,
            source: errno.into(),
        }
    }
}

/// The kernel refuses a part of [`Conditions`].
#[derive(Debug)]
pub struct ImposeError {
    /// The part.
    pub part: Part,
    source: io::Error,
}

impl fmt::Display for ImposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.part {
            Part::Loss => "the kernel cannot drop packets at random",
            Part::Delay => "the kernel cannot delay packets",
            Part::Bandwidth => "the kernel cannot limit the bandwidth",
        })
    }
}

impl std::error::Error for ImposeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketType};

    use super::*;
    use crate::namespace::Kind;
    use crate::netlink;

    const ADDRESSES: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];

    /// The number of queueing disciplines that are not the kernel's own.
    fn disciplines(traffic: &Traffic) -> usize {
        // Nothing can be added beside a root, and an empty one can be removed.
        let is_there = traffic.routes.send(&shaping::add_root()) == Err(Errno::EXIST);
        if !is_there {
            traffic.routes.send(&shaping::remove_root()).unwrap();
        }
        usize::from(is_there)
    }

    #[test]
    fn conditions_are_imposed_side_by_side_and_leave_nothing() {
        let traffic = match Traffic::apart() {
            Ok(traffic) => traffic,
            Err(error) => {
                eprintln!("not run, because namespaces are forbidden: {error}");
                return;
            }
        };
        let mut conditions = Conditions {
            loss: 0.1,
            ..Conditions::default()
        };
        for bandwidth in [None, Some(1_000), Some(10_000_000_000)] {
            conditions.bandwidth = bandwidth;
            // A second time, nothing is in the way.
            for _ in 0..2 {
                let imposed: Vec<Imposed> = ADDRESSES
                    .iter()
                    .chain(&ADDRESSES)
                    .map(|address| {
                        traffic
                            .impose(address.parse().unwrap(), &conditions)
                            .unwrap()
                    })
                    .collect();
                assert_eq!(disciplines(&traffic), usize::from(bandwidth.is_some()));
                drop(imposed);
                assert_eq!(disciplines(&traffic), 0);
            }
        }
    }

    /// Sends packets in a network apart, and returns the fraction of them that is lost.
    fn lost(from: IpAddr, to: IpAddr, loss: f64) -> Option<f64> {
        const PACKETS: u32 = 10_000;
        const AT_ONCE: u32 = 100;
        let family = match to {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let datagrams = Kind(family, SocketType::DGRAM, None);
        let sockets = match sockets_apart(&[ROUTE, NETFILTER, datagrams, datagrams]) {
            Ok(sockets) => sockets,
            Err(error) => {
                eprintln!("not run, because namespaces are forbidden: {error}");
                return None;
            }
        };
        let mut sockets = sockets.into_iter().map(Result::unwrap);
        let mut next = || sockets.next().unwrap();
        let (routes, filters, sender, receiver) = (next(), next(), next(), next());
        for message in netlink::loopback(&[from, to], None) {
            netlink::send(&routes, &message).unwrap();
        }
        net::bind(&sender, &SocketAddr::new(from, 0)).unwrap();
        net::bind(&receiver, &SocketAddr::new(to, 80)).unwrap();
        let to = SocketAddr::new(to, 80);
        let send = || net::sendto(&sender, b"packet", SendFlags::empty(), &to);
        let receive = || net::recv(&receiver, &mut [0; 8][..], RecvFlags::DONTWAIT);
        // The kernel adds the route to an IPv6 address a moment after the address.
        let wait = || std::thread::sleep(Duration::from_millis(2));
        while receive().is_err() {
            let _ = send();
            wait();
        }
        while receive().is_ok() {}
        let traffic = Traffic::new(Routes::new(routes, None), Some(filters));
        let conditions = Conditions {
            loss,
            ..Conditions::default()
        };
        // The rules are about the address of IMDS, which either end can have.
        let imds = ADDRESSES.map(|address| address.parse().unwrap());
        let imds = imds.into_iter().find(|imds| [from, to.ip()].contains(imds));
        let _imposed = traffic.impose(imds.unwrap(), &conditions).unwrap();
        let mut received = 0;
        for _ in 0..PACKETS / AT_ONCE {
            for _ in 0..AT_ONCE {
                send().unwrap();
            }
            wait();
            while receive().is_ok() {
                received += 1;
            }
        }
        Some(f64::from(PACKETS - received) / f64::from(PACKETS))
    }

    #[test]
    fn a_packet_is_lost_as_often_between_any_two_addresses() {
        let [ipv4, ipv6] = ADDRESSES.map(|address| address.parse().unwrap());
        let others = ["10.0.1.5", "fd00:ec2::5"].map(|address| address.parse().unwrap());
        for (from, to) in [
            (ipv4, ipv4),
            (ipv6, ipv6),
            (others[0], ipv4),
            (ipv4, others[0]),
            (others[1], ipv6),
            (ipv6, others[1]),
        ] {
            let Some(lost) = lost(from, to, 0.2) else {
                return;
            };
            // Five standard deviations.
            assert!((lost - 0.2).abs() < 0.02, "{from} to {to}: {lost}");
        }
    }

    #[test]
    fn what_the_kernel_lacks_is_an_error_and_leaves_nothing() {
        let Ok(traffic) = Traffic::apart() else {
            eprintln!("not run, because namespaces are forbidden");
            return;
        };
        let conditions = Conditions {
            bandwidth: Some(1_000),
            delay: Duration::from_millis(1),
            ..Conditions::default()
        };
        match traffic.impose(ADDRESSES[0].parse().unwrap(), &conditions) {
            Ok(imposed) => drop(imposed),
            Err(error) => {
                assert_eq!(error.part, Part::Delay);
                assert_eq!(
                    error.source.raw_os_error(),
                    Some(Errno::NOENT.raw_os_error())
                );
            }
        }
        assert_eq!(disciplines(&traffic), 0);
        let too_many: Vec<_> = NUMBERS
            .map(|_| traffic.impose(ADDRESSES[0].parse().unwrap(), &Conditions::default()))
            .collect();
        assert!(too_many.iter().all(Result::is_ok));
        let more = traffic.impose(ADDRESSES[0].parse().unwrap(), &Conditions::default());
        assert!(more.is_err());
    }
}
