//! A client in a simulation: the component's logic, and the records of its calls.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ec2_role_component::config::Options;
use ec2_role_component::credentials::Credentials;
use ec2_role_component::error::{Error, Reason};
use ec2_role_component::imds::client::{Client as ImdsClient, Tree};
use ec2_role_component::instance::Instance;
use ec2_role_component::ports::{self, Method, RESPONSE_HEADERS};
use ec2_role_component::time::UnixTime;
use ec2_role_host::ErrorKind;
use futures_util::lock;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::machine::{Machine, Moment};
use super::server::{Broken, Exchanged, ImdsResponse, Server, TOKEN};

/// A call for credentials, as seen from outside.
#[derive(Debug)]
pub(super) struct Call {
    /// When the component began to handle the call.
    pub(super) began: Moment,
    pub(super) ended: Moment,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) result: Result<Given, ReportedError>,
    /// Whether refreshes are failing, according to the client's status.
    pub(super) failing: bool,
    /// The client's status after an exchange, as text.
    pub(super) status: String,
    /// How often the client's sandbox restarted.
    pub(super) restarts: u64,
    /// How the call got its result.
    pub(super) served: Served,
    /// The log since the last exchange.
    pub(super) logged: String,
}

/// How a call got its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// From the held credentials, or by requests of its own.
    Alone,
    /// From the held credentials, while another caller waits for a refresh.
    DuringRefresh,
    /// By waiting for a refresh that another caller started, and whose call has been judged.
    Shared,
}

/// Credentials that a caller received.
#[derive(Clone, PartialEq)]
pub(super) struct Given {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: String,
    /// The expiration in seconds since 1970, like `refresh_after`.
    pub(super) expires: u64,
    pub(super) refresh_after: u64,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            access_key_id,
            expires,
            refresh_after,
            ..
        } = self;
        write!(
            f,
            "{access_key_id} until {expires}, promised until {refresh_after}"
        )
    }
}

/// The texts of an error.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReportedError {
    /// The kind of error.
    pub(super) kind: ErrorKind,
    pub(super) line: String,
    pub(super) debug: String,
}

impl ReportedError {
    pub(super) fn new(kind: ErrorKind, error: &(impl fmt::Debug + fmt::Display)) -> Self {
        Self {
            kind,
            line: error.to_string(),
            debug: format!("{error:?}"),
        }
    }

    fn of_component(error: &Error) -> Self {
        let kind = match error.failure().map(|failure| failure.reason) {
            Some(Reason::Denied) => ErrorKind::Denied,
            Some(Reason::Unavailable) => ErrorKind::Unavailable,
            Some(Reason::Timeout) => ErrorKind::Timeout,
            Some(Reason::Throttled) => ErrorKind::Throttled,
            Some(Reason::Forbidden) => ErrorKind::Forbidden,
            Some(Reason::NotFound) => ErrorKind::NotFound,
            Some(Reason::NoRole) => ErrorKind::NoRole,
            Some(Reason::Refused) => ErrorKind::Refused,
            Some(Reason::Expired) => ErrorKind::Expired,
            Some(Reason::UnexpectedStatus) => ErrorKind::UnexpectedStatus,
            Some(Reason::InvalidResponse) => ErrorKind::InvalidResponse,
            None => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// One exchange with IMDS.
#[derive(Debug)]
pub(super) struct Exchange {
    /// When the exchange began, since the start of the world.
    pub(super) began: Duration,
    pub(super) put: bool,
    pub(super) path: String,
    pub(super) has_token: bool,
    pub(super) exchanged: Exchanged,
    /// The longest body that the client accepts.
    pub(super) body_limit: usize,
}

impl Exchange {
    /// The path and a usable response.
    pub(super) fn found(&self) -> Option<(&str, &ImdsResponse)> {
        let response = self.exchanged.outcome.as_deref().ok()?;
        let fits = response.body.len() <= self.body_limit;
        (response.status == 200 && fits && !self.put).then_some((&*self.path, response))
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.put { "PUT" } else { "GET" };
        let with = if self.has_token || self.put {
            ""
        } else {
            " (no token)"
        };
        write!(f, "{method} {}{with} -> ", self.path)?;
        match &self.exchanged.outcome {
            Ok(response) => write!(f, "{}", response.status)?,
            Err(broken) => write!(f, "{broken:?}")?,
        }
        match &*self.exchanged.rules {
            [] => Ok(()),
            rules => write!(f, " by {}", rules.join(", ")),
        }
    }
}

/// The exchanges of a client since it was last judged. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Exchange>>>);

impl Log {
    pub(super) fn add(&self, exchange: Exchange) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(exchange);
    }

    pub(super) fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_empty(&self) -> bool {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.is_empty()
    }
}

/// The network between a machine and IMDS.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) server: Arc<Server>,
    pub(super) machine: Machine,
    /// The number of the client.
    pub(super) number: u16,
    pub(super) log: Log,
}

impl Network {
    /// Sends a request, and waits for the response for `time` on the machine's clock.
    pub(super) async fn send(
        &self,
        request: http::Request<()>,
        time: Duration,
        body_limit: usize,
    ) -> Result<Arc<ImdsResponse>, Broken> {
        let (parts, ()) = request.into_parts();
        let began = self.machine.timeline().now();
        let mut noted = Noted {
            log: &self.log,
            exchange: Some(Exchange {
                began,
                put: parts.method == http::Method::PUT,
                path: parts.uri.path().to_owned(),
                has_token: parts.headers.contains_key(TOKEN),
                // A caller that gives up has no response.
                exchanged: Exchanged {
                    rules: Vec::new(),
                    outcome: Err(Broken::Late),
                    wrong: None,
                },
                body_limit,
            }),
        };
        let until = began.saturating_add(time);
        // In a box, because most calls send nothing, and would carry the memory for it along.
        let exchange = Box::pin(self.server.exchange(parts, self.number, until));
        let exchanged = exchange.await;
        // A suspended machine receives the response when it wakes.
        self.machine.awake().await;
        let outcome = exchanged.outcome.clone();
        if let Some(exchange) = &mut noted.exchange {
            exchange.exchanged = exchanged;
        }
        outcome
    }
}

/// Records an exchange when it ends or is abandoned.
struct Noted<'a> {
    log: &'a Log,
    exchange: Option<Exchange>,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.log.add(exchange);
        }
    }
}

impl ports::Transport for Network {
    async fn exchange(
        &mut self,
        request: ports::Request<'_>,
    ) -> Result<ports::Response, ports::TransportError> {
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Put => http::Method::PUT,
        };
        let mut builder = http::Request::builder().method(method).uri(request.path);
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        let host = builder.header("host", request.authority).body(());
        let malformed = ports::TransportError::Denied("the request cannot be built");
        let now = ports::Clock::monotonic(&self.machine);
        let time = request.deadline.since(now);
        let sent = self.send(host.map_err(|_| malformed)?, time, request.body_limit);
        let response = sent.await.map_err(|broken| match broken {
            Broken::Refused => ports::TransportError::Unavailable("the connection was refused"),
            Broken::Reset => ports::TransportError::Unavailable("the connection broke"),
            Broken::Late => ports::TransportError::Timeout("no response in time"),
            Broken::NotHttp => ports::TransportError::Malformed("the response is not HTTP"),
        })?;
        if response.body.len() > request.body_limit {
            return Err(ports::TransportError::TooLong(request.body_limit));
        }
        let header = |name: &'static str| {
            let value = response.headers.get(name)?.to_str().ok()?;
            Some((name, value.to_owned()))
        };
        Ok(ports::Response {
            status: response.status,
            headers: RESPONSE_HEADERS.into_iter().filter_map(header).collect(),
            body: response.body.to_vec(),
        })
    }
}

/// The random numbers of a client.
#[derive(Clone, Debug)]
pub(super) struct Dice(Arc<Mutex<ChaCha8Rng>>);

impl Dice {
    pub(super) fn new(random: ChaCha8Rng) -> Self {
        Self(Arc::new(Mutex::new(random)))
    }
}

impl ports::Random for Dice {
    fn unit(&mut self) -> f64 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random()
    }
}

/// A status as text.
fn shown(status: &impl fmt::Debug) -> String {
    // As long as most are, because growing it step by step would take longer than writing it.
    let mut text = String::with_capacity(2048);
    // Writing to a text cannot fail.
    let _ = write!(text, "{status:?}");
    text
}

/// The component's logic as native code. Its callers take turns, as they do in an instance.
pub(super) struct Native {
    instance: lock::Mutex<Instance<ImdsClient<Network, Machine, Dice>, Machine, Dice>>,
    machine: Machine,
    log: Log,
}

impl Native {
    pub(super) fn new(network: Network, dice: Dice, options: Options) -> Result<Self, Error> {
        let machine = network.machine.clone();
        let log = network.log.clone();
        let mut instance = Instance::new(network, machine.clone(), dice);
        instance.configure(options)?;
        Ok(Self {
            instance: lock::Mutex::new(instance),
            machine,
            log,
        })
    }

    /// Asks for credentials, and calls `judge` before another caller has its turn.
    pub(super) async fn get(&self, judge: impl FnOnce(&Call)) -> Option<String> {
        let mut instance = self.instance.lock().await;
        let began = self.machine.now();
        let result = instance.get_credentials().await;
        let key = result
            .as_ref()
            .ok()
            .map(|given| given.access_key_id.clone());
        let status = instance.status();
        let exchanges = self.log.take();
        let call = Call {
            began,
            ended: self.machine.now(),
            // Without an exchange, the status has not changed.
            status: match exchanges.is_empty() {
                true => String::new(),
                false => shown(&status),
            },
            exchanges,
            result: result
                .map(given)
                .map_err(|error| ReportedError::of_component(&error)),
            failing: status.record.failing_since.is_some(),
            restarts: 0,
            served: Served::Alone,
            // The logic alone does not log.
            logged: String::new(),
        };
        judge(&call);
        key
    }

    pub(super) async fn reject(&self, access_key_id: &str, judge: impl FnOnce(Moment)) {
        let mut instance = self.instance.lock().await;
        instance.reject(access_key_id);
        judge(self.machine.now());
    }

    pub(super) async fn invalidate(&self, judge: impl FnOnce()) {
        self.instance.lock().await.invalidate();
        judge();
    }

    /// Reads other metadata with the same token.
    pub(super) async fn metadata(&self, judge: impl FnOnce(&[Exchange], Option<ReportedError>)) {
        let mut instance = self.instance.lock().await;
        let result = instance.text(Tree::Metadata, "instance-id").await;
        let said = result
            .err()
            .map(|error| ReportedError::of_component(&error));
        judge(&self.log.take(), said);
    }
}

fn given(credentials: Credentials) -> Given {
    Given {
        access_key_id: credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.into_exposed(),
        session_token: credentials
            .session_token
            .map(|token| token.into_exposed())
            .unwrap_or_default(),
        expires: credentials.expires.map_or(u64::MAX, UnixTime::seconds),
        refresh_after: credentials.refresh_after.seconds(),
    }
}
