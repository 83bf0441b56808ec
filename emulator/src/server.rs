//! The shell: sockets in, core, sockets out.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use chrono::TimeDelta;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::{self, Config, Iam, Invalid, Switch};
use crate::imds::{self, Certificate, Decision, IdentityError, Imds};

/// After a stop, answers on their way may take so long.
const GRACE: Duration = Duration::from_secs(2);
/// A request's head may have so many bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// After a failure to accept (no file descriptor is left), the next attempt waits so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// With port 0 and several addresses a port is looked for that is free on all, so many times.
const PORT_ATTEMPTS: usize = 16;

/// A running emulator. It stops when this is dropped.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    addresses: Vec<SocketAddr>,
    url: String,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

impl Emulator {
    /// A plausible instance with a role, on a free port of the loopback interface.
    pub fn builder() -> Builder {
        let mut config = Config::default();
        config.server.port = 0;
        Builder {
            config,
            clock: Clock::real(),
            seed: None,
        }
    }

    /// The first address that it listens on; it can be one that means all, like 0.0.0.0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All addresses that it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The URL to point a client at: `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The environment variables that point an AWS SDK at it, with their values.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let imds = imds_emulator::Emulator::builder().start().await?;
    /// let command = std::process::Command::new("aws").envs(imds.variables());
    /// # Ok(()) }
    /// ```
    pub fn variables(&self) -> [(&'static str, String); 3] {
        variables(self.address)
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// What it is configured as at present. Moments that were given as spans are fixed.
    pub fn config(&self) -> Config {
        self.shared.imds.load().config().clone()
    }

    /// Changes the instance, its metadata options or its events while it runs. Addresses, port and
    /// seed stay as they are; other settings of the server are for connections from then on.
    /// Another role shows at the next rotation (rule 50).
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the changed configuration is not accepted; then nothing is changed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use imds_emulator::Emulator;
    /// use imds_emulator::config::{HttpTokens, LifeCycle, SpotAction, SpotInterruption};
    ///
    /// let imds = Emulator::builder().start().await?;
    /// imds.change(|config| {
    ///     config.metadata_options.http_tokens = HttpTokens::Optional;
    ///     config.instance.life_cycle = LifeCycle::Spot;
    ///     config.events.spot_interruption = Some(SpotInterruption::new(SpotAction::Terminate));
    /// })?;
    /// # Ok(()) }
    /// ```
    pub fn change(&self, change: impl FnOnce(&mut Config)) -> Result<(), Invalid> {
        let _one_at_a_time = self
            .shared
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let imds = self.shared.imds.load();
        let mut config = imds.config().clone();
        change(&mut config);
        let changed = imds.changed(config, self.shared.clock.now())?;
        self.shared.imds.store(Arc::new(changed));
        Ok(())
    }

    /// Makes all tokens that were issued so far invalid, as a restart of IMDS does.
    pub fn revoke_tokens(&self) {
        let _one_at_a_time = self
            .shared
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let imds = self.shared.imds.load();
        self.shared.imds.store(Arc::new(imds.with_tokens_revoked()));
    }

    /// A certificate that signatures of the identity document verify against (rule 60), as PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if it cannot be made.
    pub fn certificate(&self, certificate: Certificate) -> Result<String, IdentityError> {
        self.shared.imds.load().certificate(certificate)
    }

    /// Stops listening, lets the answers on their way go out, and returns.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.listeners.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, ended).await;
        // What is left is cut off with the tasks.
    }
}

/// What to emulate, and where.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    config: Config,
    clock: Clock,
    seed: Option<[u8; 32]>,
}

impl Builder {
    /// Everything at once; what was set before is lost.
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

    /// Listens there alone; with port 0, on any free port. Default: 127.0.0.1, port 0.
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

    /// An instance without an instance profile (rule 35).
    pub fn without_role(self) -> Self {
        self.with(|config| config.instance.iam = None)
    }

    /// When credentials are replaced and how long they live (rule 49), even if that leaves a time
    /// without good ones. Default: every hour; six hours and twenty minutes.
    pub fn rotation(self, every: TimeDelta, lifetime: TimeDelta) -> Self {
        self.with(|config| {
            let iam: &mut Iam = config.instance.iam.get_or_insert_default();
            iam.rotation = every.into();
            iam.lifetime = lifetime.into();
            iam.lead = TimeDelta::zero().into();
        })
    }

    /// The clock for everything that is dated and timed. Default: the machine's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What keys and tokens are made from. With the same seed tokens stay good over a restart, and
    /// credentials are the same at the same age of the emulator. Default: that of the
    /// configuration, or random.
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Begins to listen. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the configuration is not accepted, an address is not to be had, or the
    /// machine has no randomness.
    pub async fn start(self) -> Result<Emulator, StartError> {
        let seed = match self.seed.or_else(|| self.config.server.seed_bytes()) {
            Some(seed) => seed,
            None => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(|error| StartError {
                    doing: "no random seed".into(),
                    source: Box::new(error),
                })?;
                seed
            }
        };
        let (hosts, port) = (self.config.server.hosts.clone(), self.config.server.port);
        let imds =
            Imds::new(self.config, seed, self.clock.now()).map_err(|invalid| StartError {
                doing: "the configuration is not accepted".into(),
                source: Box::new(invalid),
            })?;
        let bound = bind(&hosts, port).await?;
        let addresses: Vec<SocketAddr> = bound.iter().map(|(_, address)| *address).collect();
        // The check has seen to it that there is one.
        let address = addresses
            .first()
            .copied()
            .unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into());
        let shared = Arc::new(Shared {
            imds: ArcSwap::from_pointee(imds),
            changing: Mutex::new(()),
            clock: self.clock,
        });
        let (stop, stopped) = watch::channel(false);
        let mut listeners = JoinSet::new();
        for (socket, _) in bound {
            let shared = Arc::clone(&shared);
            listeners.spawn(listen(socket, shared, stopped.clone()));
        }
        Ok(Emulator {
            address,
            addresses,
            url: format!("http://{}", reachable(address)),
            shared,
            stop,
            listeners,
        })
    }
}

/// The environment variables that point an AWS SDK at an emulator that listens on `address`.
pub fn variables(address: SocketAddr) -> [(&'static str, String); 3] {
    let address = reachable(address);
    let mode = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    [
        (
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            format!("http://{address}"),
        ),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", mode.into()),
        ("AWS_EC2_METADATA_DISABLED", "false".into()),
    ]
}

/// The address itself, or, where that means all of them, the loopback one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(all) if all.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(all) if all.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Listens on all hosts, on the same port.
async fn bind(hosts: &[IpAddr], port: u16) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_once(hosts, port).await {
            Err(error) if attempts > 0 && hosts.len() > 1 => drop(error),
            bound => return bound,
        }
    }
}

async fn bind_once(
    hosts: &[IpAddr],
    mut port: u16,
) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut bound = Vec::new();
    for host in hosts {
        let address = SocketAddr::from((*host, port));
        let failed = |source: io::Error| StartError {
            doing: format!("cannot listen on {address}"),
            source: Box::new(source),
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        port = address.port();
        bound.push((listener, address));
    }
    Ok(bound)
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

/// What listeners and the handle share.
#[derive(Debug)]
struct Shared {
    imds: ArcSwap<Imds>,
    /// Held by who changes `imds`.
    changing: Mutex<()>,
    clock: Clock,
}

/// Accepts connections until it is told to stop, and then waits for those that are being answered.
async fn listen(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let imds = shared.imds.load();
                let config = imds.config();
                let ipv6 = config.metadata_options.http_protocol_ipv6;
                if !peer.ip().to_canonical().is_ipv4() && ipv6 == Switch::Disabled {
                    continue;
                }
                let http = http(&config.server);
                connections.spawn(serve(
                    stream,
                    peer,
                    http,
                    Arc::clone(&shared),
                    stopped.clone(),
                ));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn http(server: &config::Server) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(TimeDelta::from(server.head_timeout).to_std().ok())
        .max_buf_size(HEAD_BYTES)
        .title_case_headers(true)
        .keep_alive(server.keep_alive);
    http
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    http: http1::Builder,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    // An answer is written at once, there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    // There is one surface with one way in, so a router would only cost.
    let service = service_fn(|request| respond(Arc::clone(&shared), peer, request));
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // What goes wrong with a connection is the client's business.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn respond(
    shared: Arc<Shared>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Whole>, Infallible> {
    // A body is not for us; hyper reads past it if the connection goes on.
    let (request, _) = request.into_parts();
    let decision = shared
        .imds
        .load()
        .decide(&request, peer.ip(), shared.clock.now());
    let mut response = match decision {
        Decision::Answer(response) => response,
        // Until the client gives up, or the emulator stops.
        Decision::Silence => std::future::pending().await,
    };
    if let Some(imds::ReasonPhrase(phrase)) = response.extensions_mut().remove() {
        response
            .extensions_mut()
            .insert(ReasonPhrase::from_static(phrase.as_bytes()));
    }
    Ok(response.map(|bytes| Whole(Some(bytes))))
}

/// A body that is there even if it has no bytes: without one hyper puts `Content-Length` after all
/// other headers.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.0.take().filter(|bytes| !bytes.is_empty());
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}
