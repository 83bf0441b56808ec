//! The addresses of IMDS on the loopback interface of a network that exists.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use imds_isolation::{ListenError, Listening, Namespace};
use socket2::SockRef;
use tokio::net::TcpListener;
#[cfg(feature = "admin")]
use tokio::sync::watch;
#[cfg(feature = "admin")]
use tokio::task::JoinSet;

#[cfg(feature = "admin")]
use super::isolated::admin;
use super::isolated::{ADDRESSES, PORT};
use super::network::{self, Kind};
use super::sender::{self, Senders};
use super::{Builder, Emulator, StartError};
#[cfg(feature = "admin")]
use crate::control::Control;

/// The most bytes in a packet over IPv6 on EC2, where the MTU is 9,001.
const SEGMENT: u32 = 8941;

/// The network whose loopback interface gets the addresses of IMDS.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LinkLocal {
    /// The one of this process: a container or a pod.
    Here,
    /// The one that a file stands for, such as `/run/netns/NAME`, which `ip netns add NAME` makes.
    Namespace(PathBuf),
    /// The one of the process with this ID, such as a process of a container.
    Process(u32),
}

impl LinkLocal {
    fn namespace(&self) -> Result<Namespace, LinkLocalError> {
        let path = match self {
            Self::Here => {
                let enter = |source| LinkLocalError(Reason::Listen(ListenError::Enter { source }));
                return Namespace::here().map_err(enter);
            }
            Self::Namespace(path) => path.clone(),
            Self::Process(id) => Path::new("/proc").join(id.to_string()).join("ns/net"),
        };
        Namespace::open(&path).map_err(|source| LinkLocalError(Reason::Open { path, source }))
    }
}

impl Builder {
    /// Listens on port 80 of `169.254.169.254` and `fd00:ec2::254`, which are added to the loopback
    /// interface of a network that exists: the present one or another. The addresses are removed
    /// when the emulator stops. Programs of that network reach the emulator without configuration.
    ///
    /// Needs the capability `CAP_NET_ADMIN` in that network. If its loopback interface has no IPv6,
    /// the emulator listens on the IPv4 address alone.
    ///
    /// Starting fails with a [`StartError`] whose source is a [`LinkLocalError`] if the addresses
    /// cannot be added, and in the network of a whole machine, where the addresses may be those of a
    /// cloud's metadata service.
    pub fn link_local(mut self, network: LinkLocal) -> Self {
        self.link_local = Some(network);
        self.with(|config| {
            config.server.hosts = ADDRESSES.to_vec();
            config.server.port = PORT;
        })
    }
}

impl Emulator {
    /// Lets a command run in the network that [`Builder::link_local`] named, without the
    /// [variables](super::Variables) that point SDKs at another endpoint. The command keeps the files
    /// and processes of this machine. When it ends, the processes that it has left behind are
    /// killed; when the emulator stops or this process ends in whatever way, the command is killed as
    /// well. Without [`Builder::link_local`], the command is not changed.
    ///
    /// # Errors
    ///
    /// If no file descriptor is left.
    pub fn enter(&self, command: &mut Command) -> io::Result<()> {
        match &self.link_local {
            Some(network) => {
                self.variables().clear(command);
                network.namespace.enter(command)
            }
            None => Ok(()),
        }
    }
}

/// The network that has the addresses. They are removed when this is dropped.
#[derive(Debug)]
pub(super) struct Network {
    namespace: Namespace,
    listening: Listening,
}

impl Network {
    /// Adds the addresses and listens on them.
    pub(super) fn open(
        link_local: &LinkLocal,
    ) -> Result<(Self, Vec<(TcpListener, SocketAddr)>), StartError> {
        let failed = |error| StartError {
            doing: match link_local {
                LinkLocal::Here => "cannot use the addresses of IMDS in this network".into(),
                LinkLocal::Namespace(path) => format!(
                    "cannot use the addresses of IMDS in the network of {}",
                    path.display()
                ),
                LinkLocal::Process(id) => {
                    format!("cannot use the addresses of IMDS in the network of process {id}")
                }
            },
            source: Box::new(error),
        };
        let namespace = link_local.namespace().map_err(failed)?;
        let addresses = ADDRESSES.map(|address| (address, PORT).into());
        let mut listening = Listening::start(&namespace, &addresses)
            .map_err(|error| failed(LinkLocalError(Reason::Listen(error))))?;
        let mut bound = Vec::new();
        for (address, listener) in std::mem::take(&mut listening.listeners) {
            // Otherwise a whole response would be one packet, because the loopback interface has a
            // larger MTU than an interface on EC2. A kernel that refuses it makes larger packets.
            let _ = SockRef::from(&listener).set_tcp_mss(SEGMENT);
            let listener = TcpListener::from_std(listener).map_err(|source| {
                let error = ListenError::Listen { address, source };
                failed(LinkLocalError(Reason::Listen(error)))
            })?;
            bound.push((listener, address));
        }
        let network = Self {
            namespace,
            listening,
        };
        Ok((network, bound))
    }

    /// What the emulator can do there.
    pub(super) fn access(&self) -> network::Network {
        let place = match self.namespace.inode() {
            Some(inode) => sender::Network::Namespace(inode),
            None => sender::Network::Ours,
        };
        network::Network {
            kind: Kind::Existing,
            routes: Some(self.listening.routes()),
            traffic: Some(self.listening.traffic.clone()),
            senders: Senders::new(place, self.listening.sockets.clone()),
        }
    }

    /// Serves the admin API in the network as well, at the address that it has in the network of this
    /// process, unless the two are the same.
    #[cfg(feature = "admin")]
    pub(super) fn serve_admin(
        &self,
        url: &str,
        control: &Control,
        stopped: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), StartError> {
        let address = url.strip_prefix("http://").and_then(|url| url.parse().ok());
        let Some(address) = address.filter(|_| !self.namespace.is_here()) else {
            return Ok(());
        };
        let listener = self
            .namespace
            .listen(address)
            .and_then(TcpListener::from_std);
        let listener = listener.map_err(|source| StartError {
            doing: format!("cannot listen on {address} in the other network"),
            source: Box::new(source),
        })?;
        tasks.spawn(admin(listener, control.clone(), stopped.clone()));
        Ok(())
    }
}

/// The addresses of IMDS could not be added to a network.
#[derive(Debug)]
pub struct LinkLocalError(Reason);

#[derive(Debug)]
enum Reason {
    Open { path: PathBuf, source: io::Error },
    Listen(ListenError),
}

impl LinkLocalError {
    /// What can be done about it.
    pub fn remedy(&self) -> &'static str {
        use io::ErrorKind::{AddrInUse, PermissionDenied};
        let kind = |source: &io::Error| source.kind();
        match &self.0 {
            Reason::Open { source, .. } | Reason::Listen(ListenError::Enter { source }) => {
                match kind(source) {
                    PermissionDenied => {
                        "run as root, or as the user who made the network namespace (rootless \
                         containers); entering a namespace takes the capability SYS_ADMIN"
                    }
                    _ => {
                        "name the network namespace of a process that runs, or one of those that `ip \
                         netns list` shows"
                    }
                }
            }
            Reason::Listen(ListenError::Machine { .. }) => {
                "all programs of this machine would lose the real metadata service. Use \
                 `imds-emulator run --isolated -- COMMAND`, or run the emulator in a container or a pod \
                 that does not use the network of its host. On a machine that is in no cloud, root can \
                 add the address: ip address add 169.254.169.254/32 dev lo; imds-emulator --host \
                 169.254.169.254 --port 80"
            }
            Reason::Listen(ListenError::Claimed { .. }) => {
                "stop that emulator, or use another network namespace"
            }
            Reason::Listen(ListenError::OtherInterface { .. }) => {
                "if the address is left over from a test, remove it with `ip address del`; otherwise use \
                 another network namespace, or `imds-emulator run --isolated -- COMMAND`"
            }
            Reason::Listen(ListenError::Add { source, .. }) if kind(source) == PermissionDenied => {
                "give the emulator the capability NET_ADMIN and run it as root in its container: docker \
                 run --cap-add NET_ADMIN; Compose: cap_add: [NET_ADMIN]; Kubernetes: \
                 securityContext.capabilities.add: [NET_ADMIN] and runAsUser: 0"
            }
            Reason::Listen(ListenError::Listen { source, .. }) if kind(source) == AddrInUse => {
                "another emulator, or a server on port 80 of all addresses, listens in this network \
                 (`ss -ltn` shows it); stop it or move it to another port"
            }
            Reason::Listen(ListenError::Listen { source, .. })
                if kind(source) == PermissionDenied =>
            {
                "ports below 1024 take the capability NET_BIND_SERVICE: docker run --cap-add \
                 NET_BIND_SERVICE; Compose: cap_add: [NET_BIND_SERVICE]; Kubernetes: \
                 securityContext.capabilities.add: [NET_BIND_SERVICE]"
            }
            Reason::Listen(_) => "report it with the kernel's version (uname -r)",
        }
    }
}

impl fmt::Display for LinkLocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Open { path, .. } => write!(f, "cannot open {}", path.display()),
            Reason::Listen(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LinkLocalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Reason::Open { source, .. } => Some(source),
            Reason::Listen(error) => error.source(),
        }
    }
}
