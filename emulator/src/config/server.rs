//! The configuration of the emulator itself: listeners, admin API, journal.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::Dialect;
use crate::value::{Checks, Invalid, Key, Span, all};

/// The admin API. It has its own listener.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Admin {
    /// Whether the admin API is enabled. Default: `true` for the command, `false` for the library.
    pub enabled: bool,
    /// Address to listen on. Default: 127.0.0.1.
    pub host: IpAddr,
    /// Port to listen on; 0 for any free port. Default: 1339.
    pub port: u16,
    /// Path of a Unix socket to listen on as well. Supported on Unix only. Default: none.
    pub socket: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            enabled: false,
            host: Ipv4Addr::LOCALHOST.into(),
            port: 1339,
            socket: None,
        }
    }
}

/// The journal of requests.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Journal {
    /// Number of exchanges that are kept; older ones are dropped. Default: 1024.
    pub capacity: usize,
    /// Whether the journal records the process that sent each request, which is looked up for each
    /// connection. Supported on Linux only. Default: `false`.
    pub process: bool,
    /// Whether the packets that clients send to IMDS are counted: those of isolated commands, and with
    /// `--link-local`, `--netns` and `--join`. Supported on Linux only. Default: `false`.
    pub packets: bool,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            capacity: 1024,
            process: false,
            packets: false,
        }
    }
}

impl Journal {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        all([
            key.field("process").unless(
                !self.process || cfg!(target_os = "linux"),
                self.process,
                "false on this system; processes are found on Linux only",
            ),
            key.field("packets").unless(
                !self.packets || cfg!(all(feature = "isolation", target_os = "linux")),
                self.packets,
                "false; packets are counted in networks of the emulator only, which need Linux and the \
                 feature `isolation`",
            ),
        ])
    }
}

/// Where and how the emulator answers.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Server {
    /// IPv4 and IPv6 addresses to listen on. Default: 127.0.0.1.
    pub hosts: Vec<IpAddr>,
    /// Port to listen on; 0 for any free port. Default: 1338.
    pub port: u16,
    /// Format of the responses. Default: `nitro`.
    pub dialect: Dialect,
    /// Whether connections stay open for further requests. IMDS closes them `[I2]`. Default:
    /// `false`.
    pub keep_alive: bool,
    /// Time within which the head of a request must arrive. Default: `10s`.
    pub head_timeout: Span,
    /// Seed that keys and tokens are derived from. With the same seed, tokens stay valid across a
    /// restart, and credentials and certificates are the same. Default: random at each start.
    pub seed: Option<Seed>,
    /// Clients and their number of network hops, for `HttpPutResponseHopLimit`. Default: 1 hop for
    /// all clients.
    pub peers: Vec<Peers>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            hosts: vec![Ipv4Addr::LOCALHOST.into()],
            port: 1338,
            dialect: Dialect::default(),
            keep_alive: false,
            head_timeout: Span::seconds(10),
            seed: None,
            peers: Vec::new(),
        }
    }
}

impl Server {
    /// The seed, derived from its text.
    pub fn seed_bytes(&self) -> Option<[u8; 32]> {
        use sha2::Digest as _;
        let Seed(text) = self.seed.as_ref()?;
        Some(sha2::Sha256::digest(text).into())
    }
}

impl Server {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        let mut checks = Checks::default();
        let hosts = key.field("hosts");
        checks.add(hosts.unless(!self.hosts.is_empty(), "[]", "at least one address"));
        let timeout = key.field("head-timeout");
        checks.add(timeout.longer_than_zero(self.head_timeout));
        checks.extend(self.peers.iter().enumerate().map(|(at, peers)| {
            let right = (1..=64).contains(&peers.hops);
            let key = key.field("peers").item(at).field("hops");
            key.unless(right, peers.hops, "1 to 64")
        }));
        checks.result()
    }
}

/// A text that keys and tokens are derived from. `Debug` hides it.
#[derive(Clone, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Seed(String);

impl From<&str> for Seed {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Clients and their number of network hops.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Peers {
    /// The addresses of the clients.
    #[schemars(with = "String")]
    pub network: IpNet,
    /// Number of hops, 1 to 64: 1 for a program on the instance, 2 for one in a container behind a
    /// bridge. For a client in several networks the first one counts.
    pub hops: u8,
}

impl Peers {
    /// The clients in `network` are `hops` network hops away.
    pub fn new(network: IpNet, hops: u8) -> Self {
        Self { network, hops }
    }
}
