//! How a provider is to be.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast;

use super::owner::Owner;
use super::snapshot::Snapshot;
use super::{Common, EVENTS, Ec2RoleProvider};
use crate::call::Calls;
use crate::clock::{self, Clock};
use crate::config::{self, EndpointMode, Environment, Imdsv1Policy, RefreshPolicy, Settings};
use crate::egress::Egress;
use crate::error::{Error, ErrorKind};
use crate::last_known_good::LastKnownGood;
use crate::limits::Limits;
use crate::runtime;
use crate::sandbox::{Randomness, Sandbox, Surroundings};
use crate::status::Status;
use crate::transport::{Direct, Transport};

/// How a provider is to be. What is not set is looked up in the environment and in the profile (see
/// the [table](crate::config)), and then has its default.
#[derive(Clone)]
#[must_use]
pub struct Builder {
    settings: Settings,
    environment: Environment,
    profile: Option<String>,
    component: Source,
    compiled_cache: Option<PathBuf>,
    last_known_good: Option<PathBuf>,
    egress: Option<Egress>,
    limits: Limits,
    background_refresh: bool,
    clock: Option<Arc<dyn Clock>>,
    randomness: Option<Randomness>,
    transport: Option<Arc<dyn Transport>>,
}

#[derive(Clone)]
enum Source {
    BuiltIn,
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::default(),
            environment: Environment::process(),
            profile: None,
            component: Source::BuiltIn,
            compiled_cache: None,
            last_known_good: None,
            egress: None,
            limits: Limits::default(),
            background_refresh: false,
            clock: None,
            randomness: None,
            transport: None,
        }
    }

    /// Do not use IMDS at all: everything is an error of the kind
    /// [`Disabled`](ErrorKind::Disabled). Default: false.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.settings.disabled = Some(disabled);
        self
    }

    /// The base URL of IMDS: `http://`, a host, and a port and a path where needed. Goes before
    /// [`endpoint_mode`](Self::endpoint_mode). Default: by that.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// Which of the well-known endpoints to use. Default: IPv4, `http://169.254.169.254`.
    pub fn endpoint_mode(mut self, mode: EndpointMode) -> Self {
        self.settings.endpoint_mode = Some(mode);
        self
    }

    /// When to send requests without a session token `[B2.7]`. Default: never.
    pub fn imdsv1(mut self, policy: Imdsv1Policy) -> Self {
        self.settings.imdsv1 = Some(policy);
        self
    }

    /// The name of the role, which saves the request for it: 1 to 64 letters, digits and `+=,.@_-`.
    /// Default: the one that IMDS lists.
    pub fn role_name(mut self, name: impl Into<String>) -> Self {
        self.settings.role_name = Some(name.into());
        self
    }

    /// How long a connection may take to open: 1 ms to 1 min, whole milliseconds. Default: 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = Some(timeout);
        self
    }

    /// How long an answer may take on an open connection: 1 ms to 1 min, whole milliseconds.
    /// Default: 1 s.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.settings.read_timeout = Some(timeout);
        self
    }

    /// How long one look-up may take, with its token, all attempts and pauses: 1 ms to 10 min, whole
    /// milliseconds. Default: 5 s. Credentials take two look-ups, or one where the name of the role
    /// is known.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.settings.operation_timeout = Some(timeout);
        self
    }

    /// How often a request is sent at most: 1 to 10. Default: 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = Some(attempts);
        self
    }

    /// The life of the session tokens to ask for: 1 s to 6 h, whole seconds. Default: 6 h.
    pub fn token_ttl(mut self, ttl: Duration) -> Self {
        self.settings.token_ttl = Some(ttl);
        self
    }

    /// How long before their end credentials are due: 0 to 24 h, whole milliseconds. Default: 0
    /// ([`Classic`](RefreshPolicy::Classic)), by the life of the credentials
    /// ([`Windowed`](RefreshPolicy::Windowed), `[B5.9]`).
    pub fn expiry_window(mut self, window: Duration) -> Self {
        self.settings.expiry_window = Some(window);
        self
    }

    /// The part of the expiry window that is random, in percent, so that many instances do not
    /// refresh at once: 0 to 100. Default: 0.
    pub fn expiry_window_jitter(mut self, percent: u32) -> Self {
        self.settings.expiry_window_jitter = Some(percent);
        self
    }

    /// When credentials are refreshed, and what becomes of them when that fails. Default:
    /// [`Classic`](RefreshPolicy::Classic).
    pub fn refresh_policy(mut self, policy: RefreshPolicy) -> Self {
        self.settings.refresh_policy = Some(policy);
        self
    }

    /// How long past the end that IMDS gave credentials may be extended in total, whole
    /// milliseconds. Default: without bound.
    pub fn max_extension(mut self, extension: Duration) -> Self {
        self.settings.max_extension = Some(extension);
        self
    }

    /// Whether to ask `/iam/security-credentials-extended/` first, which names the account
    /// `[B4.7]`. Default: false.
    pub fn extended_path(mut self, first: bool) -> Self {
        self.settings.extended_path = Some(first);
        self
    }

    /// Where settings come from that are not set here. Default: the environment of the process.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The profile of the shared configuration files. Default: `AWS_PROFILE`, else `default`.
    #[cfg(feature = "profile")]
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Another component in place of the built-in one. It must export the interfaces of
    /// `imds:credentials`.
    pub fn component(mut self, component: impl Into<Vec<u8>>) -> Self {
        self.component = Source::Bytes(component.into());
        self
    }

    /// [`component`](Self::component) from a file.
    pub fn component_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.component = Source::File(file.into());
        self
    }

    /// A folder for compiled components, which saves the time to compile. Default: none.
    ///
    /// It is made if it is not there. What is in it is machine code that this process runs, so it is
    /// used only if it belongs to this user and nobody else may write it. There is no cache on other
    /// systems than Unix.
    pub fn compiled_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.compiled_cache = Some(folder.into());
        self
    }

    /// A folder to keep credentials in, so that a process which starts while IMDS is away can go on
    /// with the last ones until their end. Default: none.
    ///
    /// It is made if it is not there, and used only if it belongs to this user and nobody else may
    /// write it. **The secrets lie there in clear text**, in a file that this user alone can read. It
    /// does not exist on other systems than Unix.
    pub fn keep_credentials(mut self, folder: impl Into<PathBuf>) -> Self {
        self.last_known_good = Some(folder.into());
        self
    }

    /// Which requests leave the sandbox. Default: those to the endpoint.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = Some(egress);
        self
    }

    /// How much of the host the component may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether to refresh credentials when they are due though nobody asks, from the first
    /// credentials on. With [`Windowed`](RefreshPolicy::Windowed) nobody ever waits then. Default:
    /// false.
    pub fn background_refresh(mut self, background: bool) -> Self {
        self.background_refresh = background;
        self
    }

    /// A clock in place of the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Randomness in place of the system's: fills bytes. It decides on pauses between attempts, on
    /// extensions and on jitter, and on nothing secret.
    pub fn randomness(mut self, fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        self.randomness = Some(Randomness(Arc::new(fill)));
        self
    }

    /// What sends the requests that may leave. Default: a TCP connection for each.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// What the provider would be set up with. Files of the profile are read here and now.
    ///
    /// ```
    /// use ec2_role_host::{Ec2RoleProvider, Environment};
    ///
    /// let environment = Environment::from_iter([("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "5")]);
    /// let settings = Ec2RoleProvider::builder().environment(environment).settings()?;
    /// assert_eq!(settings.attempts, Some(5));
    /// # Ok::<(), ec2_role_host::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) for a value that is not accepted.
    /// Ranges are for the component to check, in [`build`](Self::build).
    pub fn settings(&self) -> Result<Settings, Error> {
        let settings = self.settings.clone();
        let resolved = config::resolve(settings, &self.environment, self.profile.as_deref())?;
        Ok(resolved.settings)
    }

    /// Compiles and configures the component. No request is sent.
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) for a value that is not accepted,
    /// [`Component`](ErrorKind::Component) for a component that does not fit.
    pub async fn build(self) -> Result<Ec2RoleProvider, Error> {
        // The processor and the disk are at work here, the first time for some ten milliseconds.
        let runtime = runtime::handle()?;
        let started = runtime.spawn_blocking(move || runtime.block_on(self.start()));
        started.await.map_err(|error| {
            Error::with_source(ErrorKind::Other, "the provider was not started", error)
        })?
    }

    /// [`build`](Self::build) for programs without a runtime. From inside one it may be called too,
    /// and then blocks its thread.
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build).
    pub fn build_blocking(self) -> Result<Ec2RoleProvider, Error> {
        crate::wait(self.build())
    }

    /// On a thread of the library's runtime that may be kept busy.
    async fn start(self) -> Result<Ec2RoleProvider, Error> {
        let Self {
            settings,
            environment,
            profile,
            component,
            compiled_cache,
            last_known_good,
            egress,
            limits,
            background_refresh,
            clock,
            randomness,
            transport,
        } = self;
        let resolved = config::resolve(settings, &environment, profile.as_deref())?;
        let cache = compiled_cache.as_deref();
        let sandbox = match component {
            Source::BuiltIn => Sandbox::built_in(cache),
            Source::Bytes(component) => Sandbox::new(&component, cache),
            Source::File(file) => Sandbox::new(&read(&file)?, cache),
        }?;
        let clock = clock.unwrap_or_else(|| Arc::new(clock::System::new()));
        let endpoint = resolved.endpoint()?;
        let surroundings = Surroundings {
            egress: egress.unwrap_or_else(|| endpoint.clone().into()),
            transport: transport.unwrap_or_else(|| Arc::new(Direct)),
            clock: Arc::clone(&clock),
            randomness: randomness.unwrap_or_else(system_randomness),
            limits,
        };
        let common = Arc::new(Common {
            snapshot: Snapshot::new(),
            clock,
            endpoint: endpoint.clone(),
            windowed: resolved.settings.refresh_policy == Some(RefreshPolicy::Windowed),
            refresh: Mutex::new(None),
            status: Mutex::new(Status::default()),
            events: broadcast::Sender::new(EVENTS),
            #[cfg(feature = "profile")]
            assume_role: resolved.assume_role.clone(),
        });
        let last_known_good = last_known_good.map(|folder| {
            let role = resolved.settings.role_name.as_deref();
            LastKnownGood::new(folder, &endpoint, role)
        });
        let owner = Owner::start(
            Arc::clone(&common),
            sandbox,
            surroundings,
            resolved,
            last_known_good,
            background_refresh,
        )
        .await?;
        let (calls, waiting) = Calls::channel();
        tokio::spawn(owner.run(waiting));
        Ok(Ec2RoleProvider { common, calls })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .field("environment", &self.environment)
            .field("profile", &self.profile)
            .field("compiled_cache", &self.compiled_cache)
            .field("last_known_good", &self.last_known_good)
            .field("egress", &self.egress)
            .field("limits", &self.limits)
            .field("background_refresh", &self.background_refresh)
            .field("clock", &self.clock)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

fn read(file: &std::path::Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|error| {
        Error::with_source(
            ErrorKind::Component,
            format!("cannot read the component {}", file.display()),
            error,
        )
    })
}

fn system_randomness() -> Randomness {
    Randomness(Arc::new(|bytes| rand::fill(bytes)))
}
