//! The builder of a provider.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};

use super::owner::Owner;
use super::snapshot::Snapshot;
use super::turns::Turns;
use super::{Common, EVENTS, Ec2RoleProvider};
use crate::clock::{self, Clock};
use crate::config::{self, EndpointMode, Environment, Imdsv1Policy, RefreshPolicy, Settings};
use crate::egress::Egress;
use crate::error::{Error, ErrorKind};
use crate::inspect::is_wasm;
use crate::last_known_good::LastKnownGood;
use crate::limits::Limits;
use crate::runtime;
use crate::sandbox::{LastObstacle, Ports, Randomness, Sandbox};
use crate::status::Status;
use crate::transport::{Direct, Transport};

/// Builds an [`Ec2RoleProvider`]. A setting that the program does not set is taken from the
/// environment, then from the profile (see [`config`](crate::config)), and then has its default.
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

    /// Disables IMDS: every call fails with an error of the kind
    /// [`Disabled`](ErrorKind::Disabled). Default: false.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.settings.disabled = Some(disabled);
        self
    }

    /// Sets the base URL of IMDS: `http://` and a host, optionally with a port and a path. Takes
    /// precedence over [`endpoint_mode`](Self::endpoint_mode). Default: the endpoint of that mode.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// Selects one of the well-known endpoints. Default: IPv4, `http://169.254.169.254`.
    pub fn endpoint_mode(mut self, mode: EndpointMode) -> Self {
        self.settings.endpoint_mode = Some(mode);
        self
    }

    /// Sets when to fall back to IMDSv1 `[B2.7]`. Default: never.
    pub fn imdsv1(mut self, policy: Imdsv1Policy) -> Self {
        self.settings.imdsv1 = Some(policy);
        self
    }

    /// Sets the name of the role, which saves the request for it: 1 to 64 letters, digits and
    /// `+=,.@_-`, also with the role's path in front, or the role's ARN `[B4.2]`. Default: the role that
    /// IMDS lists.
    pub fn role_name(mut self, name: impl Into<String>) -> Self {
        self.settings.role_name = Some(name.into());
        self
    }

    /// Sets the time limit for opening a connection: 1 ms to 1 min, in whole milliseconds.
    /// Default: 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = Some(timeout);
        self
    }

    /// Sets the time limit for the complete response on an open connection: 1 ms to 1 min, in whole
    /// milliseconds. Default: 1 s.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.settings.read_timeout = Some(timeout);
        self
    }

    /// Sets the time limit for one look-up, including its token, all attempts and the back-off between
    /// them: 1 ms to 10 min, in whole milliseconds. Default: 5 s. Getting credentials takes two
    /// look-ups, or one if the name of the role is known.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.settings.operation_timeout = Some(timeout);
        self
    }

    /// Sets the maximum number of attempts for each request: 1 to 10. Default: 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = Some(attempts);
        self
    }

    /// Sets the lifetime of session tokens to request: 1 s to 6 h, in whole seconds. Default: 6 h.
    pub fn token_ttl(mut self, ttl: Duration) -> Self {
        self.settings.token_ttl = Some(ttl);
        self
    }

    /// Sets how long before their expiration credentials are due for a refresh: 0 to 24 h, in whole
    /// milliseconds. Default: 0 with [`Classic`](RefreshPolicy::Classic); 5 to 60 minutes, depending
    /// on the lifetime of the credentials, with [`Windowed`](RefreshPolicy::Windowed) `[B5.9]`.
    pub fn expiry_window(mut self, window: Duration) -> Self {
        self.settings.expiry_window = Some(window);
        self
    }

    /// Sets the random part of the expiry window, in percent, so that many instances do not refresh at
    /// the same time: 0 to 100. Default: 0.
    pub fn expiry_window_jitter(mut self, percent: u32) -> Self {
        self.settings.expiry_window_jitter = Some(percent);
        self
    }

    /// Sets when credentials are refreshed, and what happens to them if that fails. Default:
    /// [`Classic`](RefreshPolicy::Classic).
    pub fn refresh_policy(mut self, policy: RefreshPolicy) -> Self {
        self.settings.refresh_policy = Some(policy);
        self
    }

    /// Sets how long past the expiration that IMDS stated credentials may be extended in total, in
    /// whole milliseconds. Default: unlimited.
    pub fn max_extension(mut self, extension: Duration) -> Self {
        self.settings.max_extension = Some(extension);
        self
    }

    /// Tries `/iam/security-credentials-extended/` first, whose documents name the account
    /// `[B4.7]`. Default: false.
    pub fn extended_path(mut self, first: bool) -> Self {
        self.settings.extended_path = Some(first);
        self
    }

    /// Sets the environment that settings are read from. Default: the environment of the process.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Selects the profile of the shared configuration files. Default: `AWS_PROFILE`, else `default`.
    #[cfg(feature = "profile")]
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Runs this component in place of the built-in one. It must export the interfaces of
    /// `imds:credentials`.
    pub fn component(mut self, component: impl Into<Vec<u8>>) -> Self {
        self.component = Source::Bytes(component.into());
        self
    }

    /// Runs the component in this file in place of the built-in one.
    pub fn component_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.component = Source::File(file.into());
        self
    }

    /// Caches compiled components in this folder, so that a new process does not compile the component
    /// again. Default: no cache.
    ///
    /// The folder is created if it does not exist. It contains machine code that this process runs, so
    /// it is used only if it belongs to this user and no other user can write to it. The cache is
    /// supported on Unix only; elsewhere the component is compiled each time.
    pub fn compiled_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.compiled_cache = Some(folder.into());
        self
    }

    /// Stores the last known good credentials in this folder, so that a process that starts during an
    /// outage of IMDS has credentials until they expire. Default: nothing is stored.
    ///
    /// **The secrets are stored in clear text**, in a file that only this user can read. The folder is
    /// created if it does not exist, and is used only if it belongs to this user and no other user can
    /// write to it. This is supported on Unix only; elsewhere a warning is logged and nothing is stored.
    ///
    /// The file is bound to this instance: to the instance ID, which EC2 puts into the system's DMI tables,
    /// or else to the current boot. Credentials in a copy of the disk, in a machine image or in a container
    /// image are not used on another instance. Files that were not written for two days are deleted, because
    /// their credentials have expired.
    pub fn keep_credentials(mut self, folder: impl Into<PathBuf>) -> Self {
        self.last_known_good = Some(folder.into());
        self
    }

    /// Sets which requests may leave the sandbox. Default: requests to the endpoint.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = Some(egress);
        self
    }

    /// Limits the resources that the component may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Refreshes credentials in the background when they are due, once a caller has got the first
    /// ones. With [`Windowed`](RefreshPolicy::Windowed) no caller then waits for a refresh while IMDS
    /// works.
    ///
    /// While refreshes fail, the component pauses for minutes between attempts `[B4.6]`, `[B5.9]`. Once
    /// the credentials have expired, the provider tries IMDS again every 10 to 30 s, so that callers get
    /// valid credentials soon after IMDS is back. Default: false.
    pub fn background_refresh(mut self, background: bool) -> Self {
        self.background_refresh = background;
        self
    }

    /// Replaces the system's clocks.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Replaces the system's random number generator with a function that fills bytes. Randomness
    /// decides the back-off between attempts, extensions and jitter, and nothing secret.
    pub fn randomness(mut self, fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        self.randomness = Some(Randomness(Arc::new(fill)));
        self
    }

    /// Replaces the transport that sends the requests. Default: a TCP connection for each request.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// The settings that the provider would have. The files of the profile are read now.
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
    /// [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) for an invalid value. The component
    /// checks ranges, in [`build`](Self::build).
    pub fn settings(&self) -> Result<Settings, Error> {
        let settings = self.settings.clone();
        let resolved = config::resolve(settings, &self.environment, self.profile.as_deref())?;
        Ok(resolved.settings)
    }

    /// Compiles and configures the component. No request is sent. The component that the library was
    /// built with is compiled once by a process, and configured on the thread of the caller; everything
    /// else happens on a thread of the library.
    ///
    /// # Errors
    ///
    /// [`InvalidConfiguration`](ErrorKind::InvalidConfiguration) for an invalid value,
    /// [`Component`](ErrorKind::Component) for a component that the sandbox cannot run.
    pub async fn build(self) -> Result<Ec2RoleProvider, Error> {
        let runtime = runtime::handle()?;
        let cannot_start =
            |error| Error::with_source(ErrorKind::Other, "cannot start the provider", error);
        if matches!(self.component, Source::BuiltIn) && Sandbox::is_built_in_ready() {
            let mut start = Box::pin(self.start(runtime));
            return match runtime::begin(runtime, start.as_mut()) {
                Poll::Ready(started) => started,
                Poll::Pending => runtime.spawn(start).await.map_err(cannot_start)?,
            };
        }
        // This keeps the processor and the disk busy for tens of milliseconds.
        let started = runtime.spawn_blocking(move || runtime.block_on(self.start(runtime)));
        started.await.map_err(cannot_start)?
    }

    /// [`build`](Self::build) for programs without a runtime. Inside a runtime, it blocks one of the
    /// runtime's threads.
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build).
    pub fn build_blocking(self) -> Result<Ec2RoleProvider, Error> {
        crate::wait(self.build())
    }

    async fn start(self, runtime: &'static Handle) -> Result<Ec2RoleProvider, Error> {
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
        let ports = Ports {
            egress: egress.unwrap_or_else(|| endpoint.clone().into()),
            transport: transport.unwrap_or_else(|| Arc::new(Direct)),
            connect_timeout: resolved.settings.connect_timeout.unwrap_or(config::TIMEOUT),
            clock: Arc::clone(&clock),
            randomness: randomness.unwrap_or_else(system_randomness),
            limits,
            obstacle: LastObstacle::default(),
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
        let last_known_good = last_known_good.and_then(|folder| {
            let role = resolved.settings.role_name.as_deref();
            LastKnownGood::new(folder, &endpoint, role)
        });
        let (next, alarm) = watch::channel(None);
        let clock = Arc::clone(&common.clock);
        let owner = Owner::start(
            Arc::clone(&common),
            sandbox,
            ports,
            resolved,
            last_known_good,
            background_refresh,
            next,
        )
        .await?;
        let turns = Arc::new(Turns::new(runtime, owner, clock, alarm));
        Ok(Ec2RoleProvider { common, turns })
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
    let component = std::fs::read(file).map_err(|error| {
        Error::with_source(
            ErrorKind::Component,
            format!("cannot read the component {}", file.display()),
            error,
        )
    })?;
    match is_wasm(&component) {
        true => Ok(component),
        false => Err(Error::new(
            ErrorKind::Component,
            format!(
                "{} is not WebAssembly; accepted: a component (.wasm)",
                file.display()
            ),
        )),
    }
}

fn system_randomness() -> Randomness {
    Randomness(Arc::new(|bytes| rand::fill(bytes)))
}
