//! The emulator itself: listeners, admin API, journal.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::Dialect;
use crate::value::{Invalid, Key, Span};

/// The admin API. It is on a listener of its own.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Admin {
    /// Whether there is one. Default: in the command yes, in the library no.
    pub enabled: bool,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 for any free one.
    pub port: u16,
    /// A Unix socket to listen on as well.
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
    /// How many exchanges it keeps; then the oldest ones are dropped. 0 for none.
    pub capacity: usize,
}

impl Default for Journal {
    fn default() -> Self {
        Self { capacity: 1024 }
    }
}

/// Where and how the emulator answers.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Server {
    /// The addresses to listen on, IPv4 and IPv6.
    pub hosts: Vec<IpAddr>,
    /// The port to listen on; 0 for any free one.
    pub port: u16,
    /// How answers look on the wire.
    pub dialect: Dialect,
    /// Whether a connection is kept for further requests. IMDS closes it `[I2]`.
    pub keep_alive: bool,
    /// A connection is closed when the head of a request takes longer.
    pub head_timeout: Span,
    /// What keys and tokens are made from. With the same seed tokens stay good over a restart, and
    /// credentials and certificates are the same. Default: random at each start.
    pub seed: Option<Seed>,
    /// Clients that are further away than the instance itself, for `HttpPutResponseHopLimit`.
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
    /// The seed that the text stands for.
    pub fn seed_bytes(&self) -> Option<[u8; 32]> {
        use sha2::Digest as _;
        let Seed(text) = self.seed.as_ref()?;
        Some(sha2::Sha256::digest(text).into())
    }
}

impl Server {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.field("hosts")
            .unless(!self.hosts.is_empty(), "[]", "at least one address")?;
        let timeout = self.head_timeout;
        key.field("head-timeout").unless(
            timeout > Span::default(),
            timeout,
            "more than no time",
        )?;
        for (at, peers) in self.peers.iter().enumerate() {
            key.field("peers").item(at).field("hops").unless(
                (1..=64).contains(&peers.hops),
                peers.hops,
                "1 to 64",
            )?;
        }
        Ok(())
    }
}

/// A text that keys and tokens are made from. It does not show in `Debug`.
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

/// Clients, and how far away they are.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Peers {
    /// Their addresses.
    #[schemars(with = "String")]
    pub network: IpNet,
    /// 1 for a program on the instance, 2 for one in a container behind a bridge. Who is in several
    /// networks is in the first.
    pub hops: u8,
}

impl Peers {
    /// Clients of `network`, `hops` away.
    pub fn new(network: IpNet, hops: u8) -> Self {
        Self { network, hops }
    }
}
