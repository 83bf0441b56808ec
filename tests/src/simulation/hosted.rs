//! The component as WebAssembly in its host, in virtual time.
//!
//! The host has its own thread. Time advances only when that thread is idle, so that a run is the same
//! every time.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ec2_role_component::config::{Imdsv1Policy as Policy, Options};
use ec2_role_component::metadata::DOCUMENT_LIMIT;
use ec2_role_host::transport::{self, Timeouts, TransportError};
use ec2_role_host::{
    Credentials, Ec2RoleProvider, Environment, Error, Imdsv1Policy, Limits, RefreshPolicy,
};
use futures_util::future::{self, Either};
use http::{Request, Response};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tokio::runtime::Handle;
use tokio::sync::RwLock;

use super::client::{Call, Exchange, Given, Log, Network, ReportedError, Served};
use super::logs;
use super::machine::{Machine, Moment};
use super::server::Broken;

/// Whether the host's thread is idle. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    runtime: Arc<OnceLock<Handle>>,
    /// Calls in progress.
    called: Arc<AtomicUsize>,
}

/// A host that works for this much real time without virtual time advancing does not settle.
const RESTLESS: Duration = Duration::from_secs(60);

impl Rest {
    /// Runs `run` until both it and the host are idle. Returns `false` if the host does not settle.
    pub(super) fn settle(&self, mut run: impl FnMut()) -> bool {
        let began = Instant::now();
        loop {
            run();
            let before = self.wait(began);
            run();
            if before.is_some() && before == self.wait(began) {
                return true;
            }
            if began.elapsed() >= RESTLESS {
                return false;
            }
        }
    }

    /// Waits until the host is idle, or for a limited time. Returns how often its thread was parked and unparked, or `None`
    /// if that is not known yet.
    fn wait(&self, began: Instant) -> Option<u64> {
        let Some(runtime) = self.runtime.get() else {
            // Before the first request, a host with a call in progress is not idle for long.
            if self.called.load(Ordering::Acquire) > 0 {
                thread::yield_now();
                return None;
            }
            return Some(0);
        };
        let metrics = runtime.metrics();
        loop {
            // In this order, because a thread is busy before it takes work from the queue.
            let queued = metrics.global_queue_depth();
            let turns = metrics.worker_park_unpark_count(0);
            if queued == 0 && turns % 2 == 1 {
                return Some(turns);
            }
            if began.elapsed() >= RESTLESS {
                return None;
            }
            thread::yield_now();
        }
    }
}

/// A client in its sandbox.
#[derive(Debug)]
pub(super) struct Hosted {
    provider: Ec2RoleProvider,
    /// Calls for credentials are concurrent. Every other call runs alone, so that its exchanges can be
    /// attributed to it.
    turns: RwLock<()>,
    background: bool,
    machine: Machine,
    log: Log,
    rest: Rest,
    waiting: Mutex<Waiting>,
}

/// Calls that wait for a refresh.
#[derive(Debug, Default)]
struct Waiting {
    /// Their number, and when the first of them began.
    calls: usize,
    first: Option<Moment>,
    /// When the last judged call with exchanges ended.
    over: Option<Moment>,
}

#[derive(Debug)]
struct Wire {
    network: Network,
    rest: Rest,
}

impl transport::Transport for Wire {
    fn send(&self, request: Request<Bytes>, timeouts: Timeouts) -> transport::Exchange {
        self.rest.runtime.get_or_init(Handle::current);
        let network = self.network.clone();
        Box::pin(async move {
            let (mut parts, _) = request.into_parts();
            if let Some(path) = parts.uri.path_and_query().cloned() {
                parts.uri = path.into();
            }
            let time = timeouts.connect + timeouts.response;
            let sent = network.send(Request::from_parts(parts, ()), time, DOCUMENT_LIMIT);
            let received = sent.await.map_err(|broken| match broken {
                Broken::Refused => {
                    TransportError::Connect(std::io::ErrorKind::ConnectionRefused.into())
                }
                Broken::Reset | Broken::NotHttp => TransportError::Protocol("it broke".into()),
                Broken::Late => TransportError::ResponseTimeout,
            })?;
            let mut response = Response::new(received.body.clone());
            *response.status_mut() = http::StatusCode::from_u16(received.status)
                .map_err(|error| TransportError::Protocol(error.into()))?;
            *response.headers_mut() = received.headers.clone();
            Ok(response)
        })
    }
}

impl Hosted {
    pub(super) fn new(
        network: Network,
        random: ChaCha8Rng,
        options: &Options,
        policy: RefreshPolicy,
        background: bool,
        rest: Rest,
    ) -> Result<Self, Error> {
        logs::begin();
        let machine = network.machine.clone();
        let log = network.log.clone();
        let random = Mutex::new(random);
        let mut limits = Limits::default();
        // This bound is on real time, and this machine may be busy.
        limits.call = Some(Duration::from_secs(600));
        let mut builder = Ec2RoleProvider::builder()
            .environment(Environment::empty())
            .clock(machine.clone())
            .randomness(move |bytes| {
                random
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .fill_bytes(bytes);
            })
            .transport(Wire {
                network,
                rest: rest.clone(),
            })
            .background_refresh(background)
            .limits(limits)
            .refresh_policy(policy);
        if let Some(url) = &options.endpoint {
            builder = builder.endpoint(url);
        }
        if let Some(policy) = options.imdsv1 {
            builder = builder.imdsv1(match policy {
                Policy::Never => Imdsv1Policy::Never,
                Policy::OnRefusal => Imdsv1Policy::OnRefusal,
                Policy::OnAnyFailure => Imdsv1Policy::OnAnyFailure,
            });
        }
        if let Some(name) = &options.role_name {
            builder = builder.role_name(name);
        }
        if let Some(time) = options.operation_timeout {
            builder = builder.operation_timeout(Duration::from_millis(time));
        }
        if let Some(attempts) = options.attempts {
            builder = builder.attempts(attempts);
        }
        if let Some(ttl) = options.token_ttl {
            builder = builder.token_ttl(Duration::from_secs(ttl.into()));
        }
        if let Some(window) = options.expiry_window {
            builder = builder.expiry_window(Duration::from_millis(window));
        }
        if let Some(percent) = options.expiry_window_jitter {
            builder = builder.expiry_window_jitter(percent);
        }
        if let Some(most) = options.max_extension {
            builder = builder.max_extension(Duration::from_millis(most));
        }
        if let Some(first) = options.extended_path {
            builder = builder.extended_path(first);
        }
        Ok(Self {
            provider: builder.build_blocking()?,
            turns: RwLock::default(),
            background,
            machine,
            log,
            rest,
            waiting: Mutex::default(),
        })
    }

    /// Asks for credentials, and gives up after `patience`.
    pub(super) async fn get(
        &self,
        patience: Option<Duration>,
        judge: impl FnOnce(&Call),
    ) -> Option<String> {
        let _turn = self.turns.read().await;
        let began = self.machine.now();
        let mut result = pin!(self.called(self.provider.credentials()));
        let (result, served, began) = match future::poll_immediate(result.as_mut()).await {
            Some(result) => match self.waiting().calls {
                0 => (result, Served::Alone, began),
                _ => (result, Served::DuringRefresh, began),
            },
            None => {
                let place = Place::new(&self.waiting, began);
                let result = match patience {
                    Some(patience) => {
                        let gone = pin!(self.machine.timeline().sleep(patience));
                        match future::select(result, gone).await {
                            Either::Left((result, _)) => result,
                            Either::Right(_) => return None,
                        }
                    }
                    None => result.await,
                };
                let first = place.first();
                drop(place);
                let is_together = self.waiting().over == Some(self.machine.now());
                match is_together && self.log.is_empty() {
                    true => (result, Served::Shared, began),
                    false => (result, Served::Alone, first.unwrap_or(began)),
                }
            }
        };
        let ended = self.machine.now();
        let key = result
            .as_ref()
            .ok()
            .map(|given| given.access_key_id().to_owned());
        let status = self.provider.status();
        let exchanges = match served {
            Served::DuringRefresh if !self.background => Vec::new(),
            // Exchanges in the background are judged with the next call.
            _ => self.log.take(),
        };
        let (mut shown, mut logged) = (String::new(), String::new());
        if !exchanges.is_empty() {
            shown = format!("{status:?} {:?} {result:?}", self.provider);
            logged = logs::take();
            self.waiting().over = Some(ended);
        }
        let call = Call {
            began,
            ended,
            status: shown,
            exchanges,
            result: result
                .map(|given| self::given(&given))
                .map_err(|error| said(&error)),
            failing: status.failing_since.is_some(),
            restarts: status.restarts,
            served,
            logged,
        };
        judge(&call);
        key
    }

    pub(super) async fn reject(&self, access_key_id: &str, judge: impl FnOnce(Moment)) {
        let _turn = self.turns.write().await;
        // The component cannot fail here, and a restart would be noticed.
        let _ = self.called(self.provider.reject(access_key_id)).await;
        judge(self.machine.now());
    }

    pub(super) async fn invalidate(&self, judge: impl FnOnce()) {
        let _turn = self.turns.write().await;
        let _ = self.called(self.provider.invalidate()).await;
        judge();
    }

    pub(super) async fn metadata(&self, judge: impl FnOnce(&[Exchange], Option<ReportedError>)) {
        let _turn = self.turns.write().await;
        let result = self
            .called(self.provider.metadata().get("instance-id"))
            .await;
        judge(&self.log.take(), result.err().map(|error| said(&error)));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn called<T>(&self, call: impl Future<Output = T>) -> T {
        let _called = Called::new(&self.rest.called);
        call.await
    }
}

/// A call in progress, until this is dropped.
struct Called<'a>(&'a AtomicUsize);

impl<'a> Called<'a> {
    fn new(called: &'a AtomicUsize) -> Self {
        called.fetch_add(1, Ordering::AcqRel);
        Self(called)
    }
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place among the waiting callers, until this is dropped.
struct Place<'a>(&'a Mutex<Waiting>);

impl<'a> Place<'a> {
    fn new(waiting: &'a Mutex<Waiting>, now: Moment) -> Self {
        let place = Self(waiting);
        let mut waiting = place.waiting();
        waiting.calls += 1;
        waiting.first.get_or_insert(now);
        drop(waiting);
        place
    }

    fn first(&self) -> Option<Moment> {
        self.waiting().first
    }

    fn waiting(&self) -> MutexGuard<'a, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting();
        waiting.calls -= 1;
        if waiting.calls == 0 {
            waiting.first = None;
        }
    }
}

fn said(error: &Error) -> ReportedError {
    ReportedError::new(error.kind(), error)
}

fn given(credentials: &Credentials) -> Given {
    let seconds = |moment: i64| u64::try_from(moment).unwrap_or(0);
    let expires = credentials
        .expires()
        .map(|moment| seconds(moment.timestamp()));
    Given {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: credentials.secret_access_key().to_owned(),
        session_token: credentials.session_token().unwrap_or_default().to_owned(),
        expires: expires.unwrap_or(u64::MAX),
        refresh_after: seconds(credentials.refresh_after().timestamp()),
    }
}
