//! The component as WebAssembly, in its host, on virtual time.
//!
//! The host has a thread of its own. Time goes on only when that thread has nothing left to do, so that a
//! run is the same every time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ec2_role_component::config::{Imdsv1Policy as Policy, Options};
use ec2_role_component::imds::client::DOCUMENT_LIMIT;
use ec2_role_host::transport::{self, Timeouts, TransportError};
use ec2_role_host::{
    Credentials, Ec2RoleProvider, Environment, Error, Imdsv1Policy, Limits, RefreshPolicy,
};
use futures_util::lock;
use http::{Request, Response};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tokio::runtime::Handle;

use super::client::{Call, Exchange, Given, Log, Network, Said};
use super::machine::{Machine, Moment};
use super::server::Broken;

/// Whether the host's thread has anything left to do. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    runtime: Arc<OnceLock<Handle>>,
    /// Whether a call is under way.
    called: Arc<AtomicBool>,
}

impl Rest {
    /// Lets `run` run until neither it nor the host has anything left to do at this moment.
    pub(super) fn settle(&self, mut run: impl FnMut()) {
        loop {
            run();
            let before = self.wait();
            run();
            if before.is_some() && before == self.wait() {
                return;
            }
        }
    }

    /// Until the host rests. Gives how often it has begun and ended to; `None` where that is not known yet.
    fn wait(&self) -> Option<u64> {
        let Some(runtime) = self.runtime.get() else {
            // Before its first request it does not rest long, if it is called.
            if self.called.load(Ordering::Acquire) {
                thread::yield_now();
                return None;
            }
            return Some(0);
        };
        let metrics = runtime.metrics();
        loop {
            // In this order: what is taken from the queue makes the thread busy before that.
            let queued = metrics.global_queue_depth();
            let turns = metrics.worker_park_unpark_count(0);
            if queued == 0 && turns % 2 == 1 {
                return Some(turns);
            }
            thread::yield_now();
        }
    }
}

/// A client in its sandbox.
#[derive(Debug)]
pub(super) struct Hosted {
    provider: lock::Mutex<Ec2RoleProvider>,
    machine: Machine,
    log: Log,
    rest: Rest,
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
            let time = timeouts.connect + timeouts.answer;
            let sent = network.send(Request::from_parts(parts, ()), time, DOCUMENT_LIMIT);
            let answer = sent.await.map_err(|broken| match broken {
                Broken::Refused => {
                    TransportError::Connect(std::io::ErrorKind::ConnectionRefused.into())
                }
                Broken::Reset | Broken::NotHttp => TransportError::Protocol("it broke".into()),
                Broken::Late => TransportError::AnswerTimeout,
            })?;
            let mut response = Response::new(answer.body);
            *response.status_mut() = http::StatusCode::from_u16(answer.status)
                .map_err(|error| TransportError::Protocol(error.into()))?;
            *response.headers_mut() = answer.headers;
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
        rest: Rest,
    ) -> Result<Self, Error> {
        let machine = network.machine.clone();
        let log = network.log.clone();
        let random = Mutex::new(random);
        let mut limits = Limits::default();
        // It is about the machine that this runs on, and that may have much to do.
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
            .background_refresh(false)
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
            provider: lock::Mutex::new(builder.build_blocking()?),
            machine,
            log,
            rest,
        })
    }

    pub(super) async fn get(&self, judge: impl FnOnce(&Call)) -> Option<String> {
        let provider = self.provider.lock().await;
        let began = self.machine.now();
        let answer = self.called(provider.credentials()).await;
        let key = answer
            .as_ref()
            .ok()
            .map(|given| given.access_key_id().to_owned());
        let status = provider.status();
        let exchanges = self.log.take();
        let call = Call {
            began,
            ended: self.machine.now(),
            status: match exchanges.is_empty() {
                true => String::new(),
                false => format!("{status:?} {provider:?} {answer:?}"),
            },
            exchanges,
            answer: answer
                .map(|given| self::given(&given))
                .map_err(|error| Said::new(&error)),
            failing: status.failing_since.is_some(),
            restarts: status.restarts,
        };
        judge(&call);
        key
    }

    pub(super) async fn reject(&self, access_key_id: &str, judge: impl FnOnce(Moment)) {
        let provider = self.provider.lock().await;
        // The component cannot fail at it; and if it did, the restart would be seen.
        let _ = self.called(provider.reject(access_key_id)).await;
        judge(self.machine.now());
    }

    pub(super) async fn invalidate(&self, judge: impl FnOnce()) {
        let provider = self.provider.lock().await;
        let _ = self.called(provider.invalidate()).await;
        judge();
    }

    pub(super) async fn metadata(&self, judge: impl FnOnce(&[Exchange], Option<Said>)) {
        let provider = self.provider.lock().await;
        let answer = self.called(provider.metadata().get("instance-id")).await;
        judge(
            &self.log.take(),
            answer.err().map(|error| Said::new(&error)),
        );
    }

    async fn called<T>(&self, call: impl Future<Output = T>) -> T {
        self.rest.called.store(true, Ordering::Release);
        let answer = call.await;
        self.rest.called.store(false, Ordering::Release);
        answer
    }
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
