//! Commands in a network of their own, in which the addresses of IMDS are the emulator's.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, PoisonError};

use imds_isolation::{Launch, Launches};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::listener::{end, listen};
use super::network::{Kind, Network, own};
use super::router::router;
use super::sender::{self, Senders};
use super::{Emulator, GRACE};
use crate::control::{Control, Shared};
use crate::dialect::Dialect;
use crate::instance::Hypervisor;

/// The addresses of IMDS `[I1]`.
pub(super) const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];
/// The port of IMDS.
pub(super) const PORT: u16 = 80;
/// The host names that Amazon's resolver has for IMDS.
const NAMES: &str = "instance-data instance-data.ec2.internal";

/// The variables that name a proxy, as curl, Python, Go and Node.js read them.
const PROXIES: [&str; 6] = [
    "all_proxy",
    "ALL_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
];

/// How a command is isolated. The default is a network in which IMDS is all that can be reached,
/// on a machine that looks like an EC2 instance.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Isolation {
    /// Ports of this machine's 127.0.0.1 that the command can reach, at the same address.
    pub forward: Vec<u16>,
    /// Makes the command root in its user namespace, for programs that require root. Default:
    /// `false`, the command keeps its user.
    pub map_root: bool,
    /// Runs the command as if it were not on EC2. Default: `None`, the emulator is at the addresses
    /// of IMDS.
    pub off_ec2: Option<OffEc2>,
    /// Leaves the files of `/sys/class/dmi/id` as they are. Default: `false`, they say that the
    /// machine is the emulated instance.
    pub no_dmi: bool,
    /// What the command reaches besides IMDS. Default: nothing. With [`Outgoing::HostLike`], `off_ec2`
    /// can only be [`OffEc2::Refused`]: otherwise the command would reach the IMDS of this machine.
    pub outgoing: Outgoing,
}

/// What an isolated command reaches besides IMDS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outgoing {
    /// Nothing.
    #[default]
    None,
    /// What this machine reaches, except the addresses of IMDS and this machine's loopback
    /// interface. Needs the program `pasta` of the package `passt`.
    HostLike,
}

/// What a program finds at the addresses of IMDS when it does not run on EC2. It depends on the
/// network, and decides how long the program takes to give up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OffEc2 {
    /// Connections are refused.
    Refused,
    /// There is no route, so connections fail at once.
    Unreachable,
    /// Nothing answers, as in most networks.
    Silent,
}

/// The outcome of isolating a command.
#[derive(Debug)]
#[non_exhaustive]
pub enum Isolated {
    /// The command runs. The list names what the kernel refused, with the error.
    Started(Vec<(&'static str, io::Error)>),
    /// The command could not be isolated, and does not run.
    Failed(IsolationError),
}

/// A command could not be isolated.
#[derive(Debug)]
pub struct IsolationError(imds_isolation::Failure);

impl IsolationError {
    /// What can be done about it.
    pub fn remedy(&self) -> &'static str {
        use imds_isolation::Stage;
        match self.0.stage {
            Stage::Namespaces | Stage::User if imds_isolation::is_root() => {
                "this container does not let root create namespaces. Run it with --security-opt \
                 seccomp=unconfined, or with the capability SYS_ADMIN"
            }
            Stage::Namespaces | Stage::User => {
                "this system does not let your user create user namespaces. As root, allow it: sysctl \
                 -w kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, sysctl -w \
                 kernel.unprivileged_userns_clone=1 on older Debian, sysctl -w \
                 user.max_user_namespaces=10000 elsewhere. In a container, add --security-opt \
                 seccomp=unconfined or the capability SYS_ADMIN. Or run as root"
            }
            Stage::Outside if self.names_tun() => {
                "pasta opens /dev/net/tun: let your user read and write it (as root: chmod 666 \
                 /dev/net/tun), load its module if it is missing (modprobe tun), or give it to the \
                 container (--device /dev/net/tun); or omit --network host-like"
            }
            Stage::Outside => {
                "check that this machine has a default route (`ip route`), or omit --network host-like"
            }
            _ => "report it with the kernel's version (uname -r)",
        }
    }

    /// Whether pasta lacks the device that networks are made with.
    fn names_tun(&self) -> bool {
        let source = std::error::Error::source(&self.0);
        source.is_some_and(|source| source.to_string().contains("tun"))
    }
}

impl fmt::Display for IsolationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot isolate the command: {}", self.0)
    }
}

impl std::error::Error for IsolationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Emulator {
    /// A command that reaches this emulator at the addresses of IMDS, `169.254.169.254` and
    /// `fd00:ec2::254`, without any configuration, and nothing else. No privileges are needed.
    ///
    /// The command can be given arguments, environment and streams, and can be spawned several
    /// times. It runs in network, mount and process namespaces of its own, in which the machine looks
    /// like an EC2 instance. It does not inherit the [variables](crate::Variables) that point SDKs at
    /// another endpoint, nor those that name a proxy. When it ends, the processes that it left behind are killed; when the
    /// emulator stops, the command is killed.
    ///
    /// Spawning the command fails with the kernel's error if the system does not allow user
    /// namespaces. [`isolate`](Self::isolate) tells more, and has options.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use imds_emulator::Emulator;
    /// use imds_emulator::journal::Assertion;
    ///
    /// let imds = Emulator::builder().role("backup").start().await?;
    /// let mut command = tokio::process::Command::from(imds.command("s3cmd")?);
    /// command.args(["ls", "s3://bucket"]).status().await?;
    /// assert!(imds.verify(&[Assertion::NoImdsv1])?.holds);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If sockets cannot be created or `/sys` cannot be read.
    pub fn command(&self, program: impl AsRef<OsStr>) -> io::Result<Command> {
        let mut command = Command::new(program);
        self.isolate(&mut command, &Isolation::default())?;
        Ok(command)
    }

    /// Isolates a command, like [`command`](Self::command). Returns a channel that reports each
    /// time that the command is spawned. The variables of a proxy stay with
    /// [`Outgoing::HostLike`], because the command can reach the proxy then.
    ///
    /// # Errors
    ///
    /// If sockets cannot be created or `/sys` cannot be read, if [`Outgoing::HostLike`] needs a program
    /// that is not installed or does not fit [`Isolation::off_ec2`], or if there is a fault of the
    /// network for which the kernel lacks a module, or which does nothing off EC2.
    pub fn isolate(
        &self,
        command: &mut Command,
        isolation: &Isolation,
    ) -> io::Result<mpsc::UnboundedReceiver<Isolated>> {
        let is_kept_from_imds = matches!(isolation.off_ec2, None | Some(OffEc2::Refused));
        if isolation.outgoing == Outgoing::HostLike && !is_kept_from_imds {
            let error = "in a host-like network, a program off EC2 would ask the metadata service of this \
                         machine; use `refused`, or a network that is not host-like";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        self.variables().clear(command);
        if isolation.outgoing == Outgoing::None {
            for name in PROXIES {
                command.env_remove(name);
            }
        }
        let shared = &self.control.shared;
        let mut inside = inside(shared, isolation);
        let admin = self.admin_address();
        for address in isolation
            .forward
            .iter()
            .map(|port| loopback(*port))
            .chain(admin)
        {
            inside = inside.listen(address);
        }
        let launches = inside.install(command)?;
        let possible = match isolation.off_ec2 {
            None => shared.own(own(None)),
            Some(_) => shared.own_off_ec2(),
        };
        possible.map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))?;
        let (report, reports) = mpsc::unbounded_channel();
        let host = Host {
            control: self.control.clone(),
            admin,
            stopped: self.stop.subscribe(),
        };
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.spawn_on(host.all(launches, report), &shared.runtime);
        Ok(reports)
    }

    /// The address of the admin API, as the command sees it.
    fn admin_address(&self) -> Option<SocketAddr> {
        let url = self.admin_url()?;
        url.strip_prefix("http://")?.parse().ok()
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The network and the machine that the command sees.
fn inside(shared: &Shared, isolation: &Isolation) -> imds_isolation::Isolation {
    let imds = shared.imds();
    let config = imds.config();
    let instance = &config.instance;
    let mut inside = imds_isolation::Isolation::new()
        .map_root(isolation.map_root)
        .host_like(isolation.outgoing == Outgoing::HostLike);
    for address in ADDRESSES {
        inside = match isolation.off_ec2 {
            None => inside.address(address).listen((address, PORT).into()),
            Some(OffEc2::Refused) => inside.address(address),
            Some(OffEc2::Unreachable) => inside,
            Some(OffEc2::Silent) => inside.silent(address),
        };
    }
    if isolation.off_ec2.is_some() {
        return inside;
    }
    inside = inside.host(ADDRESSES[0], NAMES);
    let primary = instance.primary();
    if let Some(source) = primary.and_then(|interface| interface.private_ipv4s.first()) {
        inside = inside.source(*source);
    }
    if isolation.no_dmi {
        return inside;
    }
    let hypervisor = match config.server.dialect {
        Dialect::Xen => Hypervisor::Xen,
        _ => Hypervisor::Nitro,
    };
    for (name, contents) in instance.dmi(hypervisor) {
        inside = inside.dmi(name, contents);
    }
    match hypervisor {
        Hypervisor::Xen => inside.hypervisor_uuid(instance.machine_uuid()),
        Hypervisor::Nitro => inside,
    }
}

/// Serves the commands that are spawned.
struct Host {
    control: Control,
    admin: Option<SocketAddr>,
    stopped: watch::Receiver<bool>,
}

impl Host {
    async fn all(self, mut launches: Launches, report: mpsc::UnboundedSender<Isolated>) {
        let mut running = JoinSet::new();
        let mut stopped = self.stopped.clone();
        loop {
            let launch = tokio::select! {
                launch = launches.next() => launch,
                () = end(&mut stopped) => break,
            };
            // The receiver of the reports may have been dropped.
            let _ = match launch {
                Ok(Some(Ok(mut launch))) => {
                    let refused = std::mem::take(&mut launch.refused).into_iter();
                    let refused = refused.map(|(facet, error)| (facet.description(), error));
                    let sent = report.send(Isolated::Started(refused.collect()));
                    running.spawn(self.one(launch));
                    sent
                }
                Ok(Some(Err(failure))) => report.send(Isolated::Failed(IsolationError(failure))),
                Ok(None) | Err(_) => break,
            };
            while running.try_join_next().is_some() {}
        }
        while running.join_next().await.is_some() {}
    }

    /// Serves one command until it has ended. Kills it when the emulator stops.
    fn one(&self, mut launch: Launch) -> impl Future<Output = ()> + Send + use<> {
        let (ending, has_ended) = watch::channel(false);
        let mut served = JoinSet::new();
        // These have no requests to record.
        let mut others = JoinSet::new();
        let network = Arc::new(network(&mut launch));
        for (address, listener) in std::mem::take(&mut launch.listeners) {
            // The sockets do not block.
            let Ok(listener) = TcpListener::from_std(listener) else {
                continue;
            };
            if ADDRESSES.contains(&address.ip()) {
                let shared = Arc::clone(&self.control.shared);
                let router = router(Arc::clone(&shared));
                served.spawn(listen(
                    listener,
                    address,
                    Arc::clone(&network),
                    shared,
                    router,
                    has_ended.clone(),
                ));
            } else if Some(address) == self.admin {
                #[cfg(feature = "admin")]
                others.spawn(admin(listener, self.control.clone(), self.stopped.clone()));
            } else {
                others.spawn(forward(listener, address));
            }
        }
        let mut stopped = self.stopped.clone();
        async move {
            tokio::select! {
                () = launch.ended() => {}
                () = end(&mut stopped) => {}
            }
            // Kills the command if it still runs.
            drop((launch, others));
            // The requests that it sent last may still be unread.
            ending.send_replace(true);
            let served = async { while served.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(GRACE, served).await;
        }
    }
}

/// The network of a command.
fn network(launch: &mut Launch) -> Network {
    let supervisor = sender::Network::Command(launch.supervisor.cast_signed());
    Network {
        kind: Kind::Command,
        routes: launch.routes.take(),
        traffic: launch.traffic.take(),
        senders: Senders::new(supervisor, launch.sockets.take()),
    }
}

#[cfg(feature = "admin")]
pub(super) async fn admin(listener: TcpListener, control: Control, stopped: watch::Receiver<bool>) {
    let mut ends = stopped.clone();
    let _ = axum::serve(listener, crate::admin::router(control, stopped))
        .with_graceful_shutdown(async move { end(&mut ends).await })
        .await;
}

/// Connects each connection to the same port of the caller's loopback interface.
async fn forward(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut inside, _)) = listener.accept().await {
        connections.spawn(async move {
            if let Ok(mut outside) = TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
