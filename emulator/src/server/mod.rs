//! The server around the core: the router, sockets, HTTP, real time.

#[cfg(feature = "admin")]
mod admin_listener;
mod builder;
mod connection;
mod entry;
mod exchange;
#[cfg(all(feature = "isolation", target_os = "linux"))]
mod isolated;
#[cfg(all(feature = "isolation", target_os = "linux"))]
mod link_local;
mod listener;
mod meter;
mod network;
mod operations;
mod port;
mod router;
#[cfg(target_os = "linux")]
mod sender;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
#[cfg(all(feature = "isolation", target_os = "linux"))]
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::builder::Builder;
#[cfg(all(feature = "isolation", target_os = "linux"))]
pub use self::isolated::{Isolated, Isolation, IsolationError, OffEc2, Outgoing};
#[cfg(all(feature = "isolation", target_os = "linux"))]
pub use self::link_local::{LinkLocal, LinkLocalError};

use crate::control::Control;

/// How long a stopped emulator waits for responses in progress.
const GRACE: Duration = Duration::from_secs(2);

/// A running emulator. It stops when this is dropped.
///
/// Its methods control the emulator and report what happened. [`control`](Self::control) returns a
/// handle with the same methods, which can be cloned and moved.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    addresses: Vec<SocketAddr>,
    url: String,
    admin: Option<String>,
    control: Control,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    /// The hosts of isolated commands. Dropping them kills the commands that still run.
    #[cfg(all(feature = "isolation", target_os = "linux"))]
    hosts: Mutex<JoinSet<()>>,
    /// After the listeners, so that the addresses are removed when nothing listens any more.
    #[cfg(all(feature = "isolation", target_os = "linux"))]
    link_local: Option<link_local::Network>,
}

impl Emulator {
    /// A builder for a plausible instance with a role, on a free port of the loopback interface.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The first address that the emulator listens on. It can be the unspecified address, such as
    /// 0.0.0.0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All addresses that the emulator listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The URL for clients: `http://127.0.0.1:PORT`, without a final slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of the admin API, if that is enabled.
    pub fn admin_url(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    /// The environment variables that point an AWS SDK to the emulator.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let imds = imds_emulator::Emulator::builder().start().await?;
    /// let mut command = std::process::Command::new("aws");
    /// imds.variables().apply(&mut command);
    /// # Ok(()) }
    /// ```
    pub fn variables(&self) -> Variables {
        Variables::new(self.address)
    }

    /// The metadata surface as an axum router, beside the listener: to mount in an application, or
    /// to call without a socket. Both share the instance, the tokens, the rules and the journal. The
    /// router keeps answering after the emulator has stopped.
    ///
    /// While a rule or a setting is in force that [a router cannot honour](Builder::router), the
    /// router answers every request with 501 and the reason. The listener honours it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::body::Body;
    /// use axum::http::Request;
    /// use tower::ServiceExt as _;
    ///
    /// let imds = imds_emulator::Emulator::builder().start().await?;
    /// let get = Request::get("/latest/meta-data/").body(Body::empty())?;
    /// assert_eq!(imds.router().oneshot(get).await?.status(), 401);
    /// assert_eq!(imds.count(&Default::default())?, 1);
    /// # Ok(()) }
    /// ```
    pub fn router(&self) -> Router {
        router::router(Arc::clone(&self.control.shared))
    }

    /// A handle that can be cloned and moved.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops listening, serves the requests that have arrived, waits up to 2 s for responses in
    /// progress, and returns. A [`Control`] still has the journal, which then contains every request.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        #[cfg(all(feature = "isolation", target_os = "linux"))]
        let mut hosts =
            std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async {
            while self.listeners.join_next().await.is_some() {}
            #[cfg(all(feature = "isolation", target_os = "linux"))]
            while hosts.join_next().await.is_some() {}
        };
        let _ = tokio::time::timeout(GRACE, ended).await;
        // Dropping the tasks aborts the remaining connections.
    }
}

/// The environment variables that point an AWS SDK to an emulator: some to set, others to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variables {
    /// The variables to set, with their values.
    ///
    /// The endpoint ends with a slash. SDKs accept it with and without one, but old versions, such as
    /// botocore 1.20, append the path without a slash of their own.
    pub set: Vec<(&'static str, String)>,
    /// The variables to remove. `AWS_EC2_METADATA_DISABLED=false` would not do, because the AWS SDK for
    /// JavaScript disables IMDS whatever the value: version 2 always, version 3 before 3.738.
    pub remove: &'static [&'static str],
}

impl Variables {
    /// The variables for an emulator that listens on `address`.
    pub fn new(address: SocketAddr) -> Self {
        let address = reachable(address);
        let mode = if address.is_ipv6() { "IPv6" } else { "IPv4" };
        Self {
            set: vec![
                (
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                    format!("http://{address}/"),
                ),
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", mode.into()),
            ],
            remove: &["AWS_EC2_METADATA_DISABLED"],
        }
    }

    /// Sets and removes the variables for a command that is going to be started.
    pub fn apply(self, command: &mut Command) {
        for name in self.remove {
            command.env_remove(name);
        }
        command.envs(self.set);
    }

    /// Removes all of these variables from the environment of a command that is to find IMDS where it
    /// is on EC2.
    #[cfg(all(feature = "isolation", target_os = "linux"))]
    fn clear(self, command: &mut Command) {
        for name in self.set.iter().map(|(name, _)| name).chain(self.remove) {
            command.env_remove(name);
        }
    }
}

/// The address itself, or the loopback address in place of the unspecified address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(all) if all.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(all) if all.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The emulator could not be started.
#[derive(Debug)]
pub struct StartError {
    doing: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.doing)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
