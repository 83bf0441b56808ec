//! The builder of an emulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listener::{bind, listen};
use super::{Emulator, StartError, reachable};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Control, Player, Shared};
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
}

impl Builder {
    pub(super) fn new() -> Self {
        let mut config = Config::default();
        config.server.port = 0;
        Self {
            config,
            clock: Clock::real(),
            seed: None,
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
    /// they then expire before the next rotation. Default: every hour; 6 hours and 20 minutes.
    pub fn rotation(self, every: TimeDelta, lifetime: TimeDelta) -> Self {
        self.with(|config| {
            let iam: &mut Iam = config.instance.iam.get_or_insert_default();
            iam.rotation = every.into();
            iam.lifetime = lifetime.into();
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
        let (hosts, port) = (self.config.server.hosts.clone(), self.config.server.port);
        let journal = Journal::new(self.config.journal.capacity);
        let initial = self.config.clone();
        let imds =
            Imds::new(self.config, seed, self.clock.now()).map_err(|invalid| StartError {
                doing: "the configuration is invalid".into(),
                source: Box::new(invalid),
            })?;
        let bound = bind(&hosts, port).await?;
        let addresses: Vec<SocketAddr> = bound.iter().map(|(_, address)| *address).collect();
        // The check of the configuration requires at least one address.
        let address = addresses
            .first()
            .copied()
            .unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into());
        let shared = Arc::new_cyclic(|me| Shared {
            timeline: Player::new(initial.timeline.clone(), self.clock.now()),
            me: me.clone(),
            imds: ArcSwap::from_pointee(imds),
            changing: Mutex::new(()),
            changes: watch::Sender::default(),
            clock: self.clock,
            connections: AtomicUsize::new(0),
            runtime: Handle::current(),
            journal,
            began: Instant::now(),
            initial,
        });
        let (stop, stopped) = watch::channel(false);
        let mut listeners = JoinSet::new();
        for (socket, address) in bound {
            let shared = Arc::clone(&shared);
            listeners.spawn(listen(socket, address, shared, stopped.clone()));
        }
        let control = Control { shared };
        control.shared.start_timers();
        let admin = match control.shared.initial.admin.enabled {
            #[cfg(feature = "admin")]
            true => {
                use super::admin_listener::serve_admin;
                Some(serve_admin(&control, &stopped, &mut listeners).await?)
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
        })
    }
}
