//! Looks up a path: with a session token, within a time limit, with a limited size, and with retries
//! of transient failures.

use alloc::string::{String, ToString};
use core::time::Duration;

use crate::error::{Error, Failure, Reason, Step};
use crate::imds::endpoint::Endpoint;
use crate::imds::retry;
use crate::imds::session::{self, Authorization, Fallback, Imdsv1Policy, Session, TOKEN_LIMIT};
use crate::metadata::{self, DOCUMENT_LIMIT, Found, MetadataClient, RequestCounts};
use crate::ports::{
    Clock, Method, Random, Request, Response, TOKEN_HEADER, TTL_HEADER, Transport, TransportError,
};
use crate::time::Monotonic;

/// The path of the token `[B1.2]`. It is never below a dated version, where IMDS answers 403.
const TOKEN_ROOT: &str = "latest/api/token";

/// The size limit of user data, in bytes `[B1.5]`. EC2 accepts 16 KiB.
pub const USER_DATA_LIMIT: usize = 1024 * 1024;

const USER_AGENT: &str = concat!("ec2-role-component/", env!("CARGO_PKG_VERSION"));

/// The default time limit for opening a connection. The AWS SDKs use 250 ms to 2 s, most of them 1 s.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The default time limit for a response. The AWS SDKs use 500 ms to 1 s.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The default time limit for a look-up, as in the AWS SDK for Go v2.
pub const DEFAULT_OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// The default number of attempts, as in the AWS SDK for Go v2.
pub const DEFAULT_ATTEMPTS: u32 = 3;

/// The default lifetime to request for tokens: the longest that IMDS grants.
pub const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(21_600);

/// The settings of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether to fail every look-up without sending a request.
    pub disabled: bool,
    /// The base URL of IMDS.
    pub endpoint: Endpoint,
    /// When to fall back to IMDSv1.
    pub imdsv1: Imdsv1Policy,
    /// The time limit for opening a connection.
    pub connect_timeout: Duration,
    /// The time limit for the complete response once the connection is open.
    pub read_timeout: Duration,
    /// The time limit for a look-up, including the token, all attempts and all back-off.
    pub operation_timeout: Duration,
    /// The maximum number of attempts for each request.
    pub attempts: u32,
    /// The lifetime to request for tokens, in whole seconds.
    pub token_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            disabled: false,
            endpoint: Endpoint::ipv4(),
            imdsv1: Imdsv1Policy::Never,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            read_timeout: DEFAULT_READ_TIMEOUT,
            operation_timeout: DEFAULT_OPERATION_TIMEOUT,
            attempts: DEFAULT_ATTEMPTS,
            token_ttl: DEFAULT_TOKEN_TTL,
        }
    }
}

/// The trees of IMDS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `/latest/meta-data`
    Metadata,
    /// `/latest/dynamic`
    Dynamic,
    /// `/latest/user-data`
    UserData,
}

/// The version of IMDS that an exchange uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IMDSv1: without a token.
    V1,
    /// IMDSv2: with a token.
    V2,
}

/// The built-in IMDS client.
#[derive(Debug)]
pub struct Client<T, C, R> {
    settings: Settings,
    session: Session,
    counts: RequestCounts,
    answered: Option<Version>,
    transport: T,
    clock: C,
    random: R,
}

impl<T: Transport, C: Clock, R: Random> Client<T, C, R> {
    /// A client without a token.
    pub fn new(settings: Settings, transport: T, clock: C, random: R) -> Self {
        Self {
            settings,
            session: Session::default(),
            counts: RequestCounts::default(),
            answered: None,
            transport,
            clock,
            random,
        }
    }

    /// Replaces the settings and drops the token.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
        self.session = Session::default();
    }

    /// Gets what is at `path` in `tree`.
    ///
    /// # Errors
    ///
    /// [`Error::Disabled`], or [`Error::Failed`] for any other failure. Status 404 is
    /// [`Reason::NotFound`].
    pub async fn get(&mut self, step: Step, tree: Tree, path: &str) -> Result<Found, Error> {
        if self.settings.disabled {
            return Err(Error::Disabled);
        }
        let path = self.settings.endpoint.path(tree.root(), path);
        let operation = Operation::begin(self.clock.monotonic(), self.settings.operation_timeout);
        let mut attempts = 0;
        let mut rejected = 0;
        loop {
            let authorization = self.authorization(&operation).await?;
            let headers = [
                ("user-agent", USER_AGENT),
                (TOKEN_HEADER, authorization.header()),
            ];
            let headers = match authorization {
                Authorization::Token(_) => &headers[..],
                Authorization::None => &headers[..1],
            };
            let outgoing = Outgoing {
                step,
                method: Method::Get,
                path: &path,
                headers,
                limit: tree.limit(),
            };
            let outcome = self.exchange(&operation, outgoing, &mut attempts).await;
            let now = self.clock.monotonic();
            match &outcome {
                Ok(response) if response.status == 200 => {
                    self.answered = Some(authorization.version());
                    if let Authorization::Token(token) = &authorization {
                        self.session
                            .correct(token, response, now, self.clock.wall());
                    }
                }
                // A token can become invalid early: IMDS restarted, or the machine slept [B2.5],
                // [B2.8]. Once only: if IMDS rejects a new token too, a third will not help.
                Ok(response) if response.status == 401 && rejected == 0 => {
                    rejected = 1;
                    self.session.reject(&authorization);
                    continue;
                }
                _ => {
                    if self
                        .back_off(&operation, attempts - rejected, &outcome)
                        .await
                    {
                        continue;
                    }
                }
            }
            return match outcome {
                Ok(Response {
                    status: 200, body, ..
                }) => Ok(Found {
                    body,
                    attempts,
                    elapsed: now.since(operation.began),
                }),
                outcome => Err(operation.failed(step, attempts, &outcome, now).into()),
            };
        }
    }

    /// The session token, or why there is none.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The number of requests sent.
    pub fn counts(&self) -> RequestCounts {
        self.counts
    }

    /// The version of IMDS that the last successful look-up used.
    pub fn answered(&self) -> Option<Version> {
        self.answered
    }

    /// How to send the next request: with the held token, with a new token, or without a token
    /// `[B2.1]` to `[B2.8]`.
    async fn authorization(&mut self, operation: &Operation) -> Result<Authorization, Error> {
        if let Some(authorization) = self.session.authorization(self.clock.monotonic()) {
            return Ok(authorization);
        }
        let requested = self.settings.token_ttl;
        let seconds = requested.as_secs().to_string();
        // Without a length, some hosts send the empty body chunked, which IMDS does not accept.
        let headers = [
            ("user-agent", USER_AGENT),
            ("content-length", "0"),
            (TTL_HEADER, seconds.as_str()),
        ];
        let path = self.settings.endpoint.path(TOKEN_ROOT, "");
        let mut attempts = 0;
        loop {
            let sent = self.clock.monotonic();
            let wall = self.clock.wall();
            let outgoing = Outgoing {
                step: Step::Token,
                method: Method::Put,
                path: &path,
                headers: &headers,
                limit: TOKEN_LIMIT,
            };
            let outcome = self.exchange(operation, outgoing, &mut attempts).await;
            let now = self.clock.monotonic();
            let failure = match &outcome {
                Ok(response) if response.status == 200 => {
                    match self.session.accept(response, requested, sent, wall) {
                        Ok(token) => return Ok(Authorization::Token(token)),
                        Err(message) => operation.failure(
                            Reason::InvalidResponse,
                            Step::Token,
                            attempts,
                            Some(200),
                            message.into(),
                            now,
                        ),
                    }
                }
                _ if self.back_off(operation, attempts, &outcome).await => continue,
                _ => operation.failed(Step::Token, attempts, &outcome, now),
            };
            let timed_out = now >= operation.deadline;
            let until = match session::fallback(self.settings.imdsv1, &outcome, timed_out) {
                Fallback::Fail => return Err(failure.into()),
                Fallback::Once => None,
                Fallback::Stay => Some(now.saturating_add(requested)),
            };
            self.session.fall_back(until, self.clock.wall(), failure);
            return Ok(Authorization::None);
        }
    }

    /// Waits before the next attempt. Returns false if there is to be none `[B1.6]`, `[B1.7]`.
    async fn back_off(
        &mut self,
        operation: &Operation,
        attempts: u32,
        outcome: &Result<Response, TransportError>,
    ) -> bool {
        if attempts >= self.settings.attempts {
            return false;
        }
        let Some(time) = retry::back_off(outcome, attempts, &mut self.random) else {
            return false;
        };
        // If the back-off outlasts the look-up, report the failure now.
        if self.clock.monotonic().saturating_add(time) >= operation.deadline {
            return false;
        }
        self.clock.sleep(time).await;
        true
    }

    async fn exchange(
        &mut self,
        operation: &Operation,
        outgoing: Outgoing<'_>,
        attempts: &mut u32,
    ) -> Result<Response, TransportError> {
        let Settings {
            connect_timeout,
            read_timeout,
            ..
        } = self.settings;
        let now = self.clock.monotonic();
        let deadline = now
            .saturating_add(connect_timeout.saturating_add(read_timeout))
            .min(operation.deadline);
        if deadline <= now {
            return Err(TransportError::Timeout(
                "the time limit of the look-up had passed",
            ));
        }
        // Before the exchange, which ends early if the caller cancels its call.
        self.counts.add(outgoing.step);
        *attempts += 1;
        let outcome = self
            .transport
            .exchange(Request {
                method: outgoing.method,
                authority: self.settings.endpoint.authority(),
                path: outgoing.path,
                headers: outgoing.headers,
                body_limit: outgoing.limit,
                connect_timeout,
                read_timeout,
                deadline,
            })
            .await;
        if let Err(TransportError::Denied(_)) = outcome {
            self.counts.take_back(outgoing.step);
            *attempts -= 1;
        }
        outcome
    }
}

impl<T: Transport, C: Clock, R: Random> MetadataClient for Client<T, C, R> {
    async fn metadata(&mut self, step: Step, path: &str) -> Result<Found, Error> {
        self.get(step, Tree::Metadata, path).await
    }
}

impl Authorization {
    fn header(&self) -> &str {
        match self {
            Self::Token(token) => token.expose(),
            Self::None => "",
        }
    }

    const fn version(&self) -> Version {
        match self {
            Self::Token(_) => Version::V2,
            Self::None => Version::V1,
        }
    }
}

impl Tree {
    const fn root(self) -> &'static str {
        match self {
            Self::Metadata => "latest/meta-data",
            Self::Dynamic => "latest/dynamic",
            Self::UserData => "latest/user-data",
        }
    }

    const fn limit(self) -> usize {
        match self {
            Self::Metadata | Self::Dynamic => DOCUMENT_LIMIT,
            Self::UserData => USER_DATA_LIMIT,
        }
    }
}

/// What differs from request to request.
struct Outgoing<'a> {
    step: Step,
    method: Method,
    path: &'a str,
    headers: &'a [(&'static str, &'a str)],
    limit: usize,
}

/// One look-up: when it began and by when it must end.
struct Operation {
    began: Monotonic,
    deadline: Monotonic,
}

impl Operation {
    fn begin(now: Monotonic, timeout: Duration) -> Self {
        Self {
            began: now,
            deadline: now.saturating_add(timeout),
        }
    }

    #[cold]
    fn failure(
        &self,
        reason: Reason,
        step: Step,
        attempts: u32,
        status: Option<u16>,
        message: String,
        now: Monotonic,
    ) -> Failure {
        Failure {
            reason,
            step,
            status,
            code: None,
            attempts,
            elapsed: now.since(self.began),
            message,
        }
    }

    /// The failure for a response other than 200, or for no response `[B3.1]`.
    #[cold]
    fn failed(
        &self,
        step: Step,
        attempts: u32,
        outcome: &Result<Response, TransportError>,
        now: Monotonic,
    ) -> Failure {
        let status = outcome.as_ref().ok().map(|response| response.status);
        let (reason, message) = match outcome {
            Ok(Response { status, .. }) => (
                metadata::reason_of_status(*status, step),
                ["IMDS answered ", &status.to_string()].concat(),
            ),
            Err(TransportError::Denied(why)) => (Reason::Denied, (*why).into()),
            Err(TransportError::Unavailable(why)) => (Reason::Unavailable, (*why).into()),
            Err(TransportError::Timeout(why)) => (Reason::Timeout, (*why).into()),
            Err(TransportError::Malformed(why)) => (Reason::InvalidResponse, (*why).into()),
            Err(TransportError::TooLong(limit)) => (
                Reason::InvalidResponse,
                ["the body is longer than ", &limit.to_string(), " bytes"].concat(),
            ),
        };
        self.failure(reason, step, attempts, status, message, now)
    }
}
