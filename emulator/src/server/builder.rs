//! The builder of an emulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use chrono::TimeDelta;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listener::{bind, listen};
use super::network::Network;
use super::router::router;
use super::{Emulator, StartError, reachable};
use crate::clock::Clock;
use crate::config::{Config, Invalid};
use crate::control::{Control, Obstacles, Player, Shared, check_mounted, check_steps};
use crate::imds::Imds;
use crate::instance::Iam;
use crate::journal::Journal;

/// What to emulate, and where to listen.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    config: Config,
    clock: Clock,
    seed: Option<[u8; 32]>,
    #[cfg(all(feature = "isolation", target_os = "linux"))]
    pub(super) link_local: Option<super::LinkLocal>,
}

impl Builder {
    pub(super) fn new() -> Self {
        let mut config = Config::default();
        config.server.port = 0;
        Self {
            config,
            clock: Clock::real(),
            seed: None,
            #[cfg(all(feature = "isolation", target_os = "linux"))]
            link_local: None,
        }
    }

    /// Replaces the whole configuration, with everything that was set before.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Changes the configuration.
    ///
    /// ```
    /// use imds_emulator::Emulator;
    ///
    /// let builder = Emulator::builder().with(|config| {
    ///     config.instance.instance_type = "m7g.large".into();
    /// });
    /// ```
    pub fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Listens on this address only; with port 0, on any free port. Default: 127.0.0.1, port 0.
    pub fn bind(self, address: SocketAddr) -> Self {
        self.with(|config| {
            config.server.hosts = vec![address.ip()];
            config.server.port = address.port();
        })
    }

    /// The name of the instance's role. Default: `emulated-role`.
    pub fn role(self, name: impl Into<String>) -> Self {
        self.with(|config| {
            config.instance.iam.get_or_insert_default().role = Some(name.into());
        })
    }

    /// Removes the instance profile `[I35]`.
    pub fn without_role(self) -> Self {
        self.with(|config| config.instance.iam = None)
    }

    /// Sets how often credentials are rotated and after which time they expire `[I49]`, even if
    /// they then expire before the next rotation. Default: every hour; 6 hours and up to 36
    /// minutes.
    pub fn rotation(self, every: TimeDelta, lifetime: TimeDelta) -> Self {
        self.with(|config| {
            let iam: &mut Iam = config.instance.iam.get_or_insert_default();
            iam.rotation = every.into();
            iam.lifetime = Some(lifetime.into());
            iam.lead = TimeDelta::zero().into();
        })
    }

    /// The clock of the emulator. Default: the machine's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The seed that keys and tokens are derived from. With the same seed, tokens stay valid across
    /// a restart, and credentials are the same at the same age of the emulator. Default: the seed
    /// of the configuration, or a random one.
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Enables the admin API on this address; with port 0, on any free port. Default: no admin API.
    #[cfg(feature = "admin")]
    pub fn admin(self, address: SocketAddr) -> Self {
        self.with(|config| {
            config.admin.enabled = true;
            config.admin.host = address.ip();
            config.admin.port = address.port();
        })
    }

    /// Starts the emulator. Requires a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the configuration is invalid, an address is not available, or the
    /// operating system provides no randomness.
    pub async fn start(self) -> Result<Emulator, StartError> {
        let (hosts, port) = (self.config.server.hosts.clone(), self.config.server.port);
        #[cfg(all(feature = "isolation", target_os = "linux"))]
        let wanted = self.link_local.clone();
        let shared = self.shared(false)?;
        #[cfg(all(feature = "isolation", target_os = "linux"))]
        let (link_local, network, bound) = match &wanted {
            Some(wanted) => {
                let (link_local, bound) = super::link_local::Network::open(wanted)?;
                let network = link_local.access();
                let own = super::network::own(network.traffic.clone());
                let possible = shared.own(own);
                possible.map_err(|error| invalid("the configuration is invalid", error))?;
                (Some(link_local), network, bound)
            }
            None => (None, Network::ours(), bind(&hosts, port).await?),
        };
        #[cfg(not(all(feature = "isolation", target_os = "linux")))]
        let (network, bound) = (Network::ours(), bind(&hosts, port).await?);
        let network = Arc::new(network);
        let addresses: Vec<SocketAddr> = bound.iter().map(|(_, address)| *address).collect();
        // The check of the configuration requires at least one address.
        let address = addresses
            .first()
            .copied()
            .unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into());
        let (stop, stopped) = watch::channel(false);
        let router = router(Arc::clone(&shared));
        let mut listeners = JoinSet::new();
        for (socket, address) in bound {
            listeners.spawn(listen(
                socket,
                address,
                Arc::clone(&network),
                Arc::clone(&shared),
                router.clone(),
                stopped.clone(),
            ));
        }
        let control = Control { shared };
        let admin = match control.shared.initial.admin.enabled {
            #[cfg(feature = "admin")]
            true => {
                use super::admin_listener::serve_admin;
                let url = serve_admin(&control, &stopped, &mut listeners).await?;
                #[cfg(all(feature = "isolation", target_os = "linux"))]
                if let Some(network) = &link_local {
                    network.serve_admin(&url, &control, &stopped, &mut listeners)?;
                }
                Some(url)
            }
            #[cfg(not(feature = "admin"))]
            true => {
                return Err(StartError {
                    doing: "cannot serve the admin API".into(),
                    source: "imds-emulator was built without its feature `admin`".into(),
                });
            }
            false => None,
        };
        Ok(Emulator {
            address,
            addresses,
            url: format!("http://{}", reachable(address)),
            admin,
            control,
            stop,
            listeners,
            #[cfg(all(feature = "isolation", target_os = "linux"))]
            hosts: Mutex::default(),
            #[cfg(all(feature = "isolation", target_os = "linux"))]
            link_local,
        })
    }

    /// Builds the emulator as an axum router, without a listener: to mount in an application, or to
    /// call without a socket. The emulator exists as long as the router or its [`Control`]. Requires
    /// a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::Router;
    /// use imds_emulator::Emulator;
    ///
    /// let (router, imds) = Emulator::builder().role("web-server").router()?;
    /// let app: Router = Router::new().nest_service("/imds", router);
    /// # Ok(()) }
    /// ```
    ///
    /// # What a router refuses
    ///
    /// The connection belongs to the server of the application. `router` refuses rules and settings
    /// that act on the connection, and the methods of [`Control`] and timelines refuse them later:
    ///
    /// * faults of the connection or of how the response is sent, like `down`, `reset_peer`,
    ///   `blackhole`, `slow_body` and `malformed_chunk`, and the effects `no-response` and `reset`;
    /// * the dialect `xen`, which uses HTTP/1.0 and another case of header names;
    /// * `server.hosts`, `server.port`, `server.head-timeout`, `server.peers` and the admin API.
    ///
    /// `match.client` and the journal need the address of the client. It comes from
    /// [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo), which requests carry if the
    /// application is served with `into_make_service_with_connect_info`. The router answers with 501
    /// and the reason if a request carries no address while a rule has `match.client`, or an IPv6
    /// address while `HttpProtocolIpv6` is disabled. The journal records a client without an address
    /// as 0.0.0.0.
    ///
    /// Without a listener, steps of a timeline that have become due are taken at the next request or
    /// call of a method.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the configuration is invalid or a router cannot honour it, if there is no
    /// tokio runtime, or if the operating system provides no randomness.
    pub fn router(self) -> Result<(Router, Control), StartError> {
        let shared = self.shared(true)?;
        Ok((router(Arc::clone(&shared)), Control { shared }))
    }

    /// Makes the state that the listeners, the router and the handles share.
    fn shared(self, is_mounted: bool) -> Result<Arc<Shared>, StartError> {
        let runtime = Handle::try_current().map_err(|error| StartError {
            doing: "cannot start outside a tokio runtime".into(),
            source: Box::new(error),
        })?;
        let seed = match self.seed.or_else(|| self.config.server.seed_bytes()) {
            Some(seed) => seed,
            None => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(|error| StartError {
                    doing: "cannot get a random seed".into(),
                    source: Box::new(error),
                })?;
                seed
            }
        };
        let initial = self.config.clone();
        let imds = Imds::new(self.config, seed, self.clock.now())
            .map_err(|error| invalid("the configuration is invalid", error))?;
        if is_mounted {
            check_mounted(&imds)
                .and_then(|()| check_steps(&initial.timeline))
                .map_err(|error| invalid("a router cannot honour the configuration", error))?;
        }
        let shared = Arc::new_cyclic(|me| Shared {
            timeline: Player::new(initial.timeline.clone(), self.clock.now()),
            me: me.clone(),
            imds: ArcSwap::from_pointee(imds),
            changing: Mutex::new(()),
            changes: watch::Sender::default(),
            clock: self.clock,
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            runtime,
            journal: Journal::new(initial.journal.capacity),
            began: Instant::now(),
            initial,
            is_mounted,
            own_network: OnceLock::new(),
            is_off_ec2: AtomicBool::new(false),
            obstacles: Obstacles::default(),
        });
        shared.start_timers();
        Ok(shared)
    }
}

fn invalid(doing: &str, invalid: Invalid) -> StartError {
    StartError {
        doing: doing.into(),
        source: Box::new(invalid),
    }
}
