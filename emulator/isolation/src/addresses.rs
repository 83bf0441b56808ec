//! Addresses of the loopback interface of a network namespace that exists, and sockets that listen
//! on them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::SocketType;

use crate::claim::{self, Claim, Claimant};
use crate::loss::NETFILTER;
use crate::namespace::{Kind, Namespace, sockets};
use crate::netlink::{self, LO};
use crate::process::{family, listen_on};
use crate::routes::Routes;
use crate::sockets::{SOCK_DIAG, Sockets};
use crate::traffic::Traffic;

/// Sockets that listen on addresses of a loopback interface. The addresses that were added for them
/// are removed when this is dropped.
#[derive(Debug)]
pub struct Listening {
    /// The sockets, which do not block, with their addresses. Where the namespace has no IPv6, its
    /// addresses are missing.
    pub listeners: Vec<(SocketAddr, TcpListener)>,
    /// The TCP sockets in the namespace, unless the kernel cannot be asked about them.
    pub sockets: Option<Sockets>,
    /// The packets to and from the addresses.
    pub traffic: Traffic,
    added: Added,
    /// Given up when the addresses are removed. `None` where the kernel has no such sockets.
    _claim: Option<Claim>,
}

/// The addresses that are removed at the end.
#[derive(Debug)]
struct Added {
    routes: Routes,
    addresses: Vec<IpAddr>,
}

impl Drop for Added {
    fn drop(&mut self) {
        for address in &self.addresses {
            // The addresses may be gone already, with the namespace or by hand.
            let _ = self.routes.send(&netlink::remove_address(*address));
            let _ = self.routes.send(&netlink::remove_route(*address));
        }
    }
}

impl Listening {
    /// Adds addresses to the loopback interface of a namespace, and listens on them.
    ///
    /// An address that a killed process left behind is taken over. An address that the interface had
    /// before, for whatever other reason, is used and stays.
    ///
    /// # Errors
    ///
    /// If the namespace is that of a machine, if another process does this there, if another interface
    /// has one of the addresses, if this process lacks a capability, or if a port is in use.
    pub fn start(namespace: &Namespace, addresses: &[SocketAddr]) -> Result<Self, ListenError> {
        let mut kinds = vec![netlink::ROUTE, SOCK_DIAG, NETFILTER, claim::SOCKET];
        kinds.extend(addresses.iter().map(tcp));
        let enter = |source| ListenError::Enter { source };
        let mut opened = sockets(namespace, &kinds).map_err(enter)?.into_iter();
        let socket = match opened.next() {
            Some(socket) => socket.map_err(|errno| enter(errno.into()))?,
            None => return Err(enter(io::ErrorKind::BrokenPipe.into())),
        };
        let diagnosis = opened.next().and_then(Result::ok);
        let filters = opened.next().and_then(Result::ok);
        let claim = opened.next().and_then(Result::ok);
        let state = netlink::State::read(&socket).map_err(enter)?;
        if let Some(link) = state.links.iter().find(|link| link.is_hardware) {
            let interface = link.name.clone();
            return Err(ListenError::Machine { interface });
        }
        // The sockets of a process whose routes are prohibited do not listen, and its addresses look like
        // those of a killed one.
        let claim = claim.map(Claim::make).transpose();
        let claim = claim.map_err(|process| ListenError::Claimed { process })?;
        let routes = Routes::new(socket, None);
        let traffic = Traffic::new(routes.clone(), filters);
        // The process that had the addresses before was perhaps killed.
        traffic.clear();
        for address in addresses {
            let ip = address.ip();
            routes.clear(ip, state.has(ip));
        }
        let mut listening = Self {
            listeners: Vec::new(),
            sockets: diagnosis.map(Sockets::new),
            traffic,
            added: Added {
                routes,
                addresses: Vec::new(),
            },
            _claim: claim.flatten(),
        };
        for (address, socket) in addresses.iter().zip(opened) {
            match listening.add(&state, address, socket) {
                Err(error) if address.is_ipv6() && error.says_no_ipv6() => {}
                result => result?,
            }
        }
        Ok(listening)
    }

    /// The routes to the addresses.
    pub fn routes(&self) -> Routes {
        self.added.routes.clone()
    }

    fn add(
        &mut self,
        state: &netlink::State,
        address: &SocketAddr,
        socket: Result<OwnedFd, Errno>,
    ) -> Result<(), ListenError> {
        let ip = address.ip();
        let add = |errno: Errno| ListenError::Add {
            address: ip,
            source: errno.into(),
        };
        let socket = socket.map_err(add)?;
        let mut present = state.addresses.iter().filter(|present| present.ip == ip);
        if let Some(elsewhere) = present.clone().find(|present| present.link != LO) {
            return Err(ListenError::OtherInterface {
                address: ip,
                interface: state.name(elsewhere.link),
            });
        }
        let routes = &self.added.routes;
        let send = |message: &[u8]| routes.send(message).map_err(add);
        if !state.is_lo_up() {
            // It gets 127.0.0.1 then, which is to be its first address.
            send(&netlink::link_up(None))?;
        }
        let is_present = present.clone().next().is_some();
        if !is_present {
            send(&netlink::add_address_that_is_ours(ip))?;
        }
        if !is_present || present.any(|present| present.is_ours) {
            self.added.addresses.push(ip);
        }
        let listen = |source: io::Error| ListenError::Listen {
            address: *address,
            source,
        };
        listen_on(&socket, address).map_err(|errno| listen(errno.into()))?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true).map_err(listen)?;
        self.listeners.push((*address, listener));
        Ok(())
    }
}

fn tcp(address: &SocketAddr) -> Kind {
    Kind(family(address), SocketType::STREAM, None)
}

impl Namespace {
    /// Listens on an address that the namespace has. The socket does not block.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be entered, or the port is in use.
    pub fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let opened = sockets(self, &[tcp(&address)])?;
        let Some(socket) = opened.into_iter().next() else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let socket = socket?;
        listen_on(&socket, &address)?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

/// The reason why [`Listening::start`] failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// The namespace could not be entered or inspected.
    Enter {
        /// The kernel's error.
        source: io::Error,
    },
    /// The namespace has a hardware interface, so it is the network of a whole machine.
    Machine {
        /// The name of the interface.
        interface: String,
    },
    /// Another process listens on addresses of this loopback interface.
    Claimed {
        /// The process.
        process: Claimant,
    },
    /// Another interface than the loopback interface has the address.
    OtherInterface {
        /// The address.
        address: IpAddr,
        /// The name of the interface.
        interface: String,
    },
    /// The address could not be added.
    Add {
        /// The address.
        address: IpAddr,
        /// The kernel's error.
        source: io::Error,
    },
    /// The address was added, but a socket cannot listen on it.
    Listen {
        /// The address with its port.
        address: SocketAddr,
        /// The kernel's error.
        source: io::Error,
    },
}

impl ListenError {
    /// Whether the reason is that the namespace or its loopback interface has no IPv6.
    fn says_no_ipv6(&self) -> bool {
        let Self::Add { source, .. } = self else {
            return false;
        };
        // EACCES is the error where `net.ipv6.conf.lo.disable_ipv6` is 1. Without the capability, the
        // error is EPERM.
        let errors = [Errno::AFNOSUPPORT, Errno::OPNOTSUPP, Errno::ACCESS];
        errors
            .iter()
            .any(|errno| source.raw_os_error() == Some(errno.raw_os_error()))
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enter { .. } => f.write_str("cannot enter the network namespace"),
            Self::Machine { interface } => write!(
                f,
                "this is the network of a whole machine, because it has the hardware interface {interface}; \
                 only the network of a container, a pod or another network namespace is accepted"
            ),
            Self::Claimed { process } => write!(
                f,
                "{process} has addresses of the loopback interface of this network already"
            ),
            Self::OtherInterface { address, interface } => write!(
                f,
                "{address} is an address of the network interface {interface} already, so it may belong to \
                 the metadata service of a cloud"
            ),
            Self::Add { address, .. } => {
                write!(f, "cannot add {address} to the loopback interface")
            }
            Self::Listen { address, .. } => write!(f, "cannot listen on {address}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Enter { source } | Self::Add { source, .. } | Self::Listen { source, .. } => {
                Some(source)
            }
            Self::Machine { .. } | Self::Claimed { .. } | Self::OtherInterface { .. } => None,
        }
    }
}
