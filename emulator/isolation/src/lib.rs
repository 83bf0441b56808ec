//! Runs a command in a network of its own, without privileges, with sockets that listen there and
//! belong to the caller.
//!
//! Many programs have the address of the Instance Metadata Service compiled in. This crate gives
//! such a program a network namespace in which that address is a server of the caller's process.
//! Nothing is between the two: the command's process opens the socket in the namespace, and hands
//! it to the caller.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use std::process::Command;
//!
//! let mut command = Command::new("curl");
//! command.arg("http://169.254.169.254/");
//! let mut launches = imds_isolation::Isolation::new()
//!     .address("169.254.169.254".parse().unwrap())
//!     .listen("169.254.169.254:80".parse().unwrap())
//!     .install(&mut command)?;
//!
//! let mut child = command.spawn()?;
//! if let Some(Ok(launch)) = launches.next().await? {
//!     for (address, listener) in &launch.listeners {
//!         println!("serve {address} on {listener:?}");
//!     }
//!     child.wait()?;
//! }
//! # Ok(()) }
//! ```
//!
//! The command has network, mount and process namespaces of its own. It keeps its user, working
//! directory, standard streams, environment and process group. Its network has a loopback interface
//! with the given addresses and nothing else. When the command ends, and when the caller ends in
//! whatever way, the kernel kills all processes of the namespace, and the namespaces vanish.
//!
//! [`Listening`] and [`Namespace`] do the same in a network namespace that exists, such as that of a
//! container.
//!
//! Linux only. An ordinary user needs permission to create user namespaces, which the kernel gives
//! by default and some distributions and container runtimes take away.
//!
//! | module | contents |
//! | --- | --- |
//! | `packets` | how many packets a connection has received |
//! | `netlink` | messages to the kernel about addresses |
//! | `sockets` | questions to the kernel about a TCP socket |
//! | `loss` | packet filters that drop packets at random, as netlink messages |
//! | `shaping` | queueing disciplines that delay packets and limit their rate, as netlink messages |
//! | `traffic` | what becomes of packets to and from an address |
//! | `silent` | messages to the kernel about a network in which nothing answers |
//! | `routes` | the routes to addresses of the loopback interface, which can be prohibited |
//! | `plan` | what is done before the command runs, as data |
//! | `message` | what the processes before the command tell the caller |
//! | `outside` | the connection to the network outside, by `pasta` |
//! | `process` | the supervisor and the init process |
//! | `reaper` | the process between the caller and a command in a network that exists |
//! | `launch` | the caller's side |
//! | `namespace` | network namespaces that exist: sockets in them, commands that run in them |
//! | `claim` | which process has the addresses of a namespace |
//! | `addresses` | addresses of the loopback interface of such a namespace, and sockets that listen on them |

#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod addresses;
mod claim;
mod launch;
mod loss;
mod message;
mod namespace;
mod netlink;
mod outside;
mod packets;
mod plan;
mod process;
mod reaper;
mod routes;
mod shaping;
mod silent;
mod sockets;
mod traffic;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

pub use self::addresses::{ListenError, Listening};
pub use self::claim::Claimant;
pub use self::launch::{Failure, Launch, Launches};
pub use self::message::Stage;
pub use self::namespace::Namespace;
pub use self::packets::packets_received;
pub use self::plan::Facet;
pub use self::routes::{Prohibition, Routes};
pub use self::sockets::Sockets;
pub use self::traffic::{Conditions, ImposeError, Imposed, Part, Traffic};

/// Whether this process has the effective user ID of root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What the namespaces of a command have.
#[derive(Clone, Debug, Default)]
pub struct Isolation {
    inputs: plan::Inputs,
}

impl Isolation {
    /// A network without addresses but those of the loopback interface.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an address to the loopback interface.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.inputs.addresses.push(address);
        self
    }

    /// Makes an address reachable where nothing answers: packets to it vanish.
    pub fn silent(mut self, address: IpAddr) -> Self {
        self.inputs.silent.push(address);
        self
    }

    /// The address from which connections to the added IPv4 addresses come. Without it, they come
    /// from the address to which they go.
    pub fn source(mut self, source: Ipv4Addr) -> Self {
        self.inputs.source = Some(source);
        self
    }

    /// Adds an address on which the caller listens in the namespace.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.inputs.listeners.push(address);
        self
    }

    /// Adds a line to `/etc/hosts`.
    pub fn host(mut self, address: IpAddr, names: impl Into<String>) -> Self {
        self.inputs.hosts.push((address, names.into()));
        self
    }

    /// Adds a file to `/sys/class/dmi/id`, in place of all that the kernel shows there. A newline
    /// is appended to the contents.
    pub fn dmi(mut self, name: impl Into<String>, contents: impl Into<String>) -> Self {
        self.inputs.dmi.push((name.into(), contents.into()));
        self
    }

    /// Sets `/sys/hypervisor/uuid`, which Xen guests have.
    pub fn hypervisor_uuid(mut self, uuid: impl Into<String>) -> Self {
        self.inputs.hypervisor_uuid = Some(uuid.into());
        self
    }

    /// Makes the command's user root in the namespace, for programs that require root. The user's
    /// files then appear to belong to root.
    pub fn map_root(mut self, is_root: bool) -> Self {
        self.inputs.map_root = is_root;
        self
    }

    /// Connects the network to the one of this machine, by the program `pasta` of the package
    /// `passt`: the command reaches what this machine reaches, except this machine's loopback
    /// interface and the added addresses. The command then has a user namespace even if the caller
    /// is root.
    pub fn host_like(mut self, is_host_like: bool) -> Self {
        self.inputs.is_host_like = is_host_like;
        self
    }

    /// Isolates `command` each time that it is spawned.
    ///
    /// # Errors
    ///
    /// If sockets cannot be created, if the system's `/sys` cannot be read, if `pasta` is needed and not
    /// installed, or outside of a tokio runtime with IO.
    #[expect(
        unsafe_code,
        reason = "code between fork and exec must be async-signal-safe"
    )]
    pub fn install(&self, command: &mut Command) -> io::Result<Launches> {
        let (outside, problem) = match self.inputs.is_host_like {
            true => outside::start().map(|(requests, problem)| (Some(requests), problem))?,
            false => (None, outside::Problem::default()),
        };
        let plan = plan::Plan::new(&self.inputs, outside)?;
        let (announced, announce) = process::pair()?;
        let launches = Launches {
            announced: launch::register(announced)?,
            addresses: self.inputs.listeners.clone(),
            source: self.inputs.source,
            problem,
        };
        // SAFETY: the function makes system calls on data that exists already. It does not
        // allocate and takes no locks, as its module describes.
        unsafe { command.pre_exec(move || process::isolate(&plan, &announce)) };
        Ok(launches)
    }
}
