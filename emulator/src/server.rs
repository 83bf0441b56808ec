//! The shell: sockets in, core, sockets out.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use chrono::TimeDelta;
use http::HeaderMap;
use http::header::USER_AGENT;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::admin;
use crate::clock::Clock;
use crate::config::{self, Config, Iam, Switch};
use crate::control::{Control, Shared};
use crate::fault::Family;
use crate::imds::{self, Client, Conduct, Imds, Step};
use crate::journal::{self, Exchange, Journal, Outcome};
use crate::timeline::Timeline;
use crate::wire::{self, Wire};

/// After a stop, answers on their way may take so long.
const GRACE: Duration = Duration::from_secs(2);
/// A request's head may have so many bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// After a failure to accept (no file descriptor is left), the next attempt waits so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Where a rule can close the port, whether it does is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// So many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// With port 0 and several addresses a port is looked for that is free on all, so many times.
const PORT_ATTEMPTS: usize = 16;

/// A running emulator. It stops when this is dropped. What can be done to it and asked of it is in
/// [`Control`].
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    addresses: Vec<SocketAddr>,
    url: String,
    admin: Option<String>,
    control: Control,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

impl Deref for Emulator {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
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

    /// The URL of the admin API, if there is one.
    pub fn admin_url(&self) -> Option<&str> {
        self.admin.as_deref()
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

    /// A hold on it that can be cloned and given away.
    pub fn control(&self) -> &Control {
        &self.control
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

    /// With the admin API, on that address; with port 0, on any free port. Default: without it.
    pub fn admin(self, address: SocketAddr) -> Self {
        self.with(|config| {
            config.admin.enabled = true;
            config.admin.host = address.ip();
            config.admin.port = address.port();
        })
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
        let journal = Journal::new(self.config.journal.capacity);
        let initial = self.config.clone();
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
        let shared = Arc::new_cyclic(|me| Shared {
            timeline: Timeline::new(initial.timeline.clone(), self.clock.now()),
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
        control.shared.limit(&control.shared.initial.faults);
        let admin = match control.shared.initial.admin.enabled {
            true => Some(serve_admin(&control, &stopped, &mut listeners).await?),
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

/// Serves the admin API, and gives its URL.
async fn serve_admin(
    control: &Control,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<String, StartError> {
    let admin = &control.shared.initial.admin;
    let router = admin::router(control.clone(), stopped.clone());
    let ends = |mut stopped: watch::Receiver<bool>| async move { end(&mut stopped).await };
    let (listener, address) = bind_once(&[admin.host], admin.port)
        .await?
        .pop()
        .ok_or_else(|| StartError {
            doing: "no address for the admin API".into(),
            source: Box::new(io::Error::from(io::ErrorKind::AddrNotAvailable)),
        })?;
    let served =
        axum::serve(listener, router.clone()).with_graceful_shutdown(ends(stopped.clone()));
    tasks.spawn(async move {
        let _ = served.await;
    });
    if let Some(path) = &admin.socket {
        let socket = Socket::bind(path).map_err(|source| StartError {
            doing: format!("cannot listen on {}", path.display()),
            source: Box::new(source),
        })?;
        let Socket { listener, file } = socket;
        let served = axum::serve(listener, router).with_graceful_shutdown(ends(stopped.clone()));
        tasks.spawn(async move {
            let _file = file;
            let _ = served.await;
        });
    }
    Ok(format!("http://{}", reachable(address)))
}

/// A Unix socket, whose file is gone when it is.
struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

struct SocketFile(PathBuf);

impl Socket {
    fn bind(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
        // One that an emulator left behind, because it was killed, is in nobody's use.
        let is_socket =
            std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            file: SocketFile(path.to_owned()),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
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

/// One connection more, as long as this lives.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A port, with somebody behind it or not.
enum Port {
    Open(TcpListener),
    /// Bound, so that nobody else takes it, but connections are refused.
    Refusing(Option<TcpSocket>),
}

impl Port {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Self::Open(listener) => listener.accept().await,
            Self::Refusing(_) => std::future::pending().await,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Closes an open one, and opens a closed one. What fails is tried again later.
    fn turned(self, address: SocketAddr) -> Self {
        match self {
            Self::Open(listener) => {
                drop(listener);
                Self::Refusing(bound(address).ok())
            }
            Self::Refusing(socket) => {
                let socket = match socket {
                    Some(socket) => Ok(socket),
                    None => bound(address),
                };
                match socket.and_then(|socket| socket.listen(BACKLOG)) {
                    Ok(listener) => Self::Open(listener),
                    Err(_) => Self::Refusing(None),
                }
            }
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until it is told to stop, and then waits for those that are being answered.
async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let family = match address {
        SocketAddr::V4(_) => Family::Ipv4,
        SocketAddr::V6(_) => Family::Ipv6,
    };
    let mut port = Port::Open(listener);
    let mut changes = shared.changes.subscribe();
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        shared.tick();
        let imds = shared.imds.load_full();
        if port.is_open() == imds.is_down(family, shared.clock.now()) {
            port = port.turned(address);
        }
        // Nobody tells when the time of a rule comes.
        let look_again = imds.can_be_down() || !port.is_open() || shared.timeline.is_waiting();
        drop(imds);
        let accepted = tokio::select! {
            accepted = port.accept() => accepted,
            _ = changes.changed() => continue,
            () = tokio::time::sleep(LOOK_AGAIN), if look_again => continue,
            () = end(&mut stopped) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve(stream, peer, Arc::clone(&shared), stopped.clone());
                connections.spawn(connection);
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(port);
    while connections.join_next().await.is_some() {}
}

/// Comes when the emulator is to stop.
async fn end(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
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
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let _counted = Counted::new(&shared);
    let http = {
        let imds = shared.imds();
        if let Some(told) = imds.accept(peer, shared.clock.now()) {
            Entry::new(&shared, "", "", &HeaderMap::new(), peer, told).end(Outcome::Reset, 0);
            return wire::reset(stream);
        }
        let options = &imds.config().metadata_options;
        let is_ipv4 = peer.ip().to_canonical().is_ipv4();
        if !is_ipv4 && options.http_protocol_ipv6 == Switch::Disabled {
            return;
        }
        http(&imds.config().server)
    };
    // An answer is written at once, there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let stream = Arc::new(stream);
    let (hand_over, mut taken_over) = mpsc::channel(1);
    let steps = {
        // There is one surface with one way in, so a router would only cost.
        let service = service_fn(|request| respond(&shared, peer, &hand_over, request));
        let wire = TokioIo::new(Wire(Arc::clone(&stream)));
        let mut connection = pin!(http.serve_connection(wire, service));
        // What goes wrong with a connection is the client's business.
        tokio::select! {
            _ = connection.as_mut() => return,
            steps = taken_over.recv() => steps,
            () = end(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = connection => return,
                    steps = taken_over.recv() => steps,
                }
            }
        }
    };
    if let (Some(steps), Ok(stream)) = (steps, Arc::try_unwrap(stream)) {
        wire::perform(stream, steps).await;
    }
}

/// Answers, or hands over what is to happen to the connection.
async fn respond(
    shared: &Shared,
    peer: SocketAddr,
    hand_over: &mpsc::Sender<Vec<Step>>,
    request: Request<Incoming>,
) -> Result<Response<Whole>, Infallible> {
    // A body is not for us; hyper reads past it if the connection goes on.
    let (request, _) = request.into_parts();
    let client = Client {
        address: peer.ip(),
        connections: shared.connections.load(Ordering::Relaxed),
    };
    let imds::Decision {
        delay,
        conduct,
        told,
    } = shared.imds().decide(&request, client, shared.clock.now());
    let (method, path) = (request.method.as_str(), request.uri.path());
    let entry = Entry::new(shared, method, path, &request.headers, peer, told);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let steps = match conduct {
        Conduct::Answer(mut response) => {
            if let Some(imds::ReasonPhrase(phrase)) = response.extensions_mut().remove() {
                response
                    .extensions_mut()
                    .insert(ReasonPhrase::from_static(phrase.as_bytes()));
            }
            entry.end(Outcome::Answered, response.body().len());
            return Ok(response.map(|bytes| Whole(Some(bytes))));
        }
        Conduct::Script(steps) => steps,
        Conduct::Silence => vec![Step::Stall],
    };
    let outcome = match steps.last() {
        Some(Step::Reset) => Outcome::Reset,
        Some(Step::Stall) => Outcome::Silence,
        _ => Outcome::Spoiled,
    };
    entry.end(outcome, wire::body_length(&steps));
    let _ = hand_over.send(steps).await;
    // The connection is taken from under us.
    std::future::pending().await
}

/// An exchange that goes into the journal, at its end or when the client is gone.
struct Entry<'a> {
    shared: &'a Shared,
    began: Instant,
    exchange: Option<Exchange>,
}

impl<'a> Entry<'a> {
    fn new(
        shared: &'a Shared,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        peer: SocketAddr,
        told: imds::Told,
    ) -> Self {
        let began = Instant::now();
        let uptime = began.duration_since(shared.began).as_millis();
        let agent = headers.get(USER_AGENT);
        Self {
            shared,
            began,
            exchange: Some(Exchange {
                number: told.number,
                at: shared.clock.now(),
                uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
                client: peer.ip().to_canonical(),
                method: journal::kept(method),
                path: journal::kept(path),
                imds: told.imds,
                token: told.token,
                user_agent: agent
                    .map(|agent| journal::kept(&String::from_utf8_lossy(agent.as_bytes()))),
                forwarded: headers.contains_key("x-forwarded-for"),
                rules: told.rules,
                outcome: Outcome::Abandoned,
                status: told.status,
                bytes: 0,
                duration_ms: 0.0,
            }),
        }
    }

    fn end(mut self, outcome: Outcome, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.outcome = outcome;
            exchange.bytes = bytes;
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            if exchange.outcome == Outcome::Abandoned {
                exchange.status = None;
            }
            exchange.duration_ms = journal::milliseconds(self.began.elapsed());
            let steps = self.shared.timeline.take_after(&exchange);
            let at = exchange.at;
            self.shared.journal.add(exchange);
            for step in steps {
                // What goes wrong is told with the step.
                let _ = self.shared.perform(&step, at);
            }
        }
    }
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
