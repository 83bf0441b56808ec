//! The emulator's core without sockets, in virtual time. Its responses are compared with `responses`.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{self, Either};
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use imds_emulator::config::Config;
use imds_emulator::fault::kinds::ConnectionFault;
use imds_emulator::fault::{Family, Fault, Rule};
use imds_emulator::imds::{Client, Delivery, Imds, Step};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;

use super::responses::Model;
use super::timeline::Timeline;

/// The headers with a token and its TTL.
pub(super) const TOKEN: &str = "x-aws-ec2-metadata-token";
pub(super) const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The size of the buffer between server and client.
const PIPE: usize = 64 * 1024;

/// The IMDS of one instance.
#[derive(Debug)]
pub(super) struct Server {
    timeline: Timeline,
    epoch: DateTime<Utc>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    imds: Imds,
    /// The current rules, which survive a restart.
    rules: Vec<Rule>,
    is_up: bool,
    random: ChaCha8Rng,
    model: Model,
    /// Tasks that wait for the next request of a client, or of any client.
    waiting: Vec<(Option<u16>, oneshot::Sender<()>)>,
}

/// The result of a request.
#[derive(Debug)]
pub(super) struct Exchanged {
    /// The names of the rules that applied.
    pub(super) rules: Vec<Arc<str>>,
    pub(super) outcome: Result<Arc<ImdsResponse>, Broken>,
    /// What is wrong with the response, if anything is.
    pub(super) wrong: Option<String>,
}

#[derive(Debug)]
pub(super) struct ImdsResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The JSON in the body, once it was needed.
    json: OnceLock<Option<Json>>,
}

/// The JSON value at the start of a body.
#[derive(Debug)]
pub(super) struct Json {
    pub(super) value: Value,
    /// Whether something other than white space follows it.
    pub(super) is_followed: bool,
}

impl ImdsResponse {
    pub(super) fn new(status: u16, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
            json: OnceLock::new(),
        }
    }

    /// The JSON value at the start of the body, which is read once for all who check it.
    pub(super) fn json(&self) -> Option<&Json> {
        let read = || {
            let mut values = serde_json::Deserializer::from_slice(&self.body).into_iter();
            let value = values.next()?.ok()?;
            let rest = self.body.get(values.byte_offset()..).unwrap_or_default();
            Some(Json {
                value,
                is_followed: !rest.trim_ascii().is_empty(),
            })
        };
        self.json.get_or_init(read).as_ref()
    }
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Refused,
    Reset,
    Late,
    NotHttp,
}

impl Server {
    pub(super) fn new(
        timeline: Timeline,
        epoch: DateTime<Utc>,
        config: Config,
        seed: u64,
    ) -> Result<Self, imds_emulator::config::Invalid> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let now = epoch + since(timeline.now());
        let model = Model::new(&config);
        let imds = Imds::new(config, random.random(), now)?;
        Ok(Self {
            timeline,
            epoch,
            state: Mutex::new(State {
                imds,
                rules: Vec::new(),
                is_up: true,
                random,
                model,
                waiting: Vec::new(),
            }),
        })
    }

    /// Applies `change` now.
    pub(super) fn change<E>(
        &self,
        change: impl FnOnce(&Imds, DateTime<Utc>) -> Result<Imds, E>,
    ) -> Result<(), E> {
        let now = self.now();
        let mut state = self.state();
        state.imds = change(&state.imds, now)?;
        let State { imds, model, .. } = &mut *state;
        model.note_role(imds.config());
        Ok(())
    }

    /// Waits for the next request of that client, or of any client.
    pub(super) async fn request(&self, from: Option<u16>) {
        let (tell, told) = oneshot::channel();
        self.state().waiting.push((from, tell));
        // The server outlives this task.
        let _ = told.await;
    }

    pub(super) fn break_with(&self, rule: Rule) -> Result<(), imds_emulator::config::Invalid> {
        self.change(|imds, now| imds.with_fault(rule.clone(), now))?;
        self.state().rules.push(rule);
        Ok(())
    }

    pub(super) fn heal(&self, name: &str) {
        let mut state = self.state();
        state.rules.retain(|rule| rule.name != name);
        if let Some(healed) = state.imds.without_fault(name) {
            state.imds = healed;
        }
    }

    /// Revokes all tokens.
    pub(super) fn revoke_tokens(&self) {
        let mut state = self.state();
        state.imds = state.imds.with_tokens_revoked();
        state.model.revoke();
    }

    /// Records that the credentials were replaced.
    pub(super) fn forget_documents(&self) {
        self.state().model.forget_documents();
    }

    /// Stops the server. [`start`](Self::start) replaces it.
    pub(super) fn stop(&self) {
        self.state().is_up = false;
    }

    /// Starts the server. With another seed, it does not recognise earlier tokens, and issues other credentials.
    pub(super) fn start(
        &self,
        with_the_same_seed: bool,
    ) -> Result<(), imds_emulator::config::Invalid> {
        let now = self.now();
        let mut state = self.state();
        if !with_the_same_seed {
            let config = state.imds.config().clone();
            let seed = state.random.random();
            state.imds = Imds::new(config, seed, now)?;
            for rule in state.rules.clone() {
                state.imds = state.imds.with_fault(rule, now)?;
            }
            state.model.begin_anew();
        }
        state.is_up = true;
        Ok(())
    }

    /// Sends a request, and waits for the response until a moment on the timeline.
    pub(super) async fn exchange(&self, request: Parts, from: u16, until: Duration) -> Exchanged {
        let mut rules = None;
        let outcome = {
            let exchange = pin!(self.under_way(&request, from, &mut rules));
            match future::select(exchange, self.timeline.sleep_until(until)).await {
                Either::Left((outcome, _)) => outcome.map(Arc::new),
                Either::Right(_) => Err(Broken::Late),
            }
        };
        let wrong = match (&rules, &outcome) {
            // A response that a rule affected can be anything.
            (Some(rules), Ok(response)) if rules.is_empty() => {
                let now = self.now();
                let mut state = self.state();
                let State { imds, model, .. } = &mut *state;
                model.check(&request, response, imds.config(), now)
            }
            _ => None,
        };
        Exchanged {
            rules: rules.unwrap_or_default(),
            outcome,
            wrong,
        }
    }

    async fn under_way(
        &self,
        request: &Parts,
        from: u16,
        rules: &mut Option<Vec<Arc<str>>>,
    ) -> Result<ImdsResponse, Broken> {
        let hop = {
            let mut state = self.state();
            let wanted = |(client, _): &mut (Option<u16>, _)| client.is_none_or(|it| it == from);
            for (_, tell) in state.waiting.extract_if(.., wanted) {
                // The task that waited is gone.
                let _ = tell.send(());
            }
            Duration::from_micros(state.random.random_range(100..2_000))
        };
        self.timeline.sleep(hop).await;
        let [high, low] = from.to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, high, low));
        let decision = {
            let now = self.now();
            let state = self.state();
            if !state.is_up {
                return Err(Broken::Refused);
            }
            if state.imds.is_down(Family::Ipv4, now) {
                let down = state.rules.iter();
                let down = down.filter(|rule| {
                    matches!(
                        rule.fault,
                        Fault::Connection(
                            ConnectionFault::Down(_) | ConnectionFault::Prohibited(_)
                        )
                    )
                });
                *rules = Some(down.map(|rule| rule.name.as_str().into()).collect());
                return Err(Broken::Refused);
            }
            let client = Client {
                address,
                connections: 1,
                process: None,
                network_is_ours: false,
            };
            if let Some(reset) = state.imds.accept(client, now) {
                *rules = Some(reset.rules);
                return Err(Broken::Reset);
            }
            state.imds.decide(request, client, now)
        };
        *rules = Some(decision.summary.rules);
        if !decision.delay.is_zero() {
            self.timeline.sleep(decision.delay).await;
        }
        match decision.delivery {
            Delivery::Response(response) => {
                let (parts, body) = response.into_parts();
                Ok(ImdsResponse::new(
                    parts.status.as_u16(),
                    parts.headers,
                    body,
                ))
            }
            // In a box, because few responses need a connection.
            Delivery::Script(steps) => Box::pin(self.play(request, steps)).await,
            Delivery::NoResponse => future::pending().await,
        }
    }

    /// How a client reads bytes that arrive in these steps.
    async fn play(&self, request: &Parts, steps: Vec<Step>) -> Result<ImdsResponse, Broken> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let reads = pin!(read(request, theirs));
        let writes = pin!(self.write(ours, steps));
        match future::select(reads, writes).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((Ok(()), reads)) => reads.await,
            Either::Right((Err(broken), _)) => Err(broken),
        }
    }

    async fn write(&self, mut pipe: DuplexStream, steps: Vec<Step>) -> Result<(), Broken> {
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    // The client has closed the connection and has its outcome.
                    if pipe.write_all(&bytes).await.is_err() {
                        return Ok(());
                    }
                }
                Step::Wait(time) => self.timeline.sleep(time).await,
                Step::Close => return Ok(()),
                Step::Reset => return Err(Broken::Reset),
                Step::Stall => future::pending().await,
            }
        }
        Ok(())
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.epoch + since(self.timeline.now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn since(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

async fn read(request: &Parts, pipe: DuplexStream) -> Result<ImdsResponse, Broken> {
    let mut request = Request::from_parts(request.clone(), Empty::<Bytes>::new());
    // A script that sends less than its Content-Length is a broken connection.
    request.headers_mut().remove("content-length");
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(pipe)).await?;
        let response = pin!(async {
            let response = sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(ImdsResponse::new(
                parts.status.as_u16(),
                parts.headers,
                body,
            ))
        });
        match future::select(response, pin!(connection)).await {
            Either::Left((response, _)) => response,
            Either::Right((_, response)) => response.await,
        }
    };
    exchange.await.map_err(|error| match error.is_parse() {
        true => Broken::NotHttp,
        false => Broken::Reset,
    })
}
