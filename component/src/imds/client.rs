//! Look-ups of a path: with a session token, within a deadline, bounded, repeated where that can
//! help.

use alloc::format;
use alloc::string::String;
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

/// Where the token is (1.2). Never under a dated version: IMDS answers 403 there.
const TOKEN_ROOT: &str = "latest/api/token";

/// User data are at most so long (1.5). EC2 takes 16 KiB.
pub const USER_DATA_LIMIT: usize = 1024 * 1024;

const USER_AGENT: &str = concat!("ec2-role-component/", env!("CARGO_PKG_VERSION"));

/// How long a connection may take to open. The AWS SDKs have between 250 ms and 2 s; most have 1 s.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an answer may take. The AWS SDKs have between 500 ms and 1 s.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a look-up may take, as in the AWS SDK for Go v2.
pub const DEFAULT_OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a request is sent at most, as in the AWS SDK for Go v2.
pub const DEFAULT_ATTEMPTS: u32 = 3;

/// The life of a token to ask for: the longest that IMDS grants.
pub const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(21_600);

/// The client's part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Do not send anything.
    pub disabled: bool,
    /// Where IMDS is.
    pub endpoint: Endpoint,
    /// When to do without a token.
    pub imdsv1: Imdsv1Policy,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long an answer may take after that.
    pub read_timeout: Duration,
    /// How long a look-up may take.
    pub operation_timeout: Duration,
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The life of a token to ask for, in whole seconds.
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

/// The trees that can be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `/latest/meta-data`
    Metadata,
    /// `/latest/dynamic`
    Dynamic,
    /// `/latest/user-data`
    UserData,
}

/// The protocol of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Without a token.
    V1,
    /// With a token.
    V2,
}

/// The IMDS client.
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
    /// A client that has sent nothing yet.
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

    /// Goes on with other settings, and without a token.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
        self.session = Session::default();
    }

    /// What is at `path` in `tree`.
    ///
    /// # Errors
    ///
    /// [`Error::Disabled`], or [`Error::Failed`] for all that goes wrong on the way; a status of
    /// 404 is [`Reason::NotFound`].
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
            let question = Question {
                step,
                method: Method::Get,
                path: &path,
                headers,
                limit: tree.limit(),
            };
            let outcome = self.exchange(&operation, question, &mut attempts).await;
            let now = self.clock.monotonic();
            match &outcome {
                Ok(response) if response.status == 200 => {
                    self.answered = Some(authorization.version());
                    if let Authorization::Token(token) = &authorization {
                        self.session
                            .correct(token, response, now, self.clock.wall());
                    }
                }
                // 2.5, 2.8: a token can end before its time (IMDS was restarted, the machine
                // slept). Once, for a new token that is not accepted either will not be helped by a
                // third.
                Ok(response) if response.status == 401 && rejected == 0 => {
                    rejected = 1;
                    self.session.reject(&authorization);
                    continue;
                }
                _ => {
                    if self.pause(&operation, attempts - rejected, &outcome).await {
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

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Requests sent.
    pub fn counts(&self) -> RequestCounts {
        self.counts
    }

    /// The protocol of the last look-up that succeeded.
    pub fn answered(&self) -> Option<Version> {
        self.answered
    }

    /// How to send the next request: with the token held, with a new one, or without (2.1 to 2.8).
    async fn authorization(&mut self, operation: &Operation) -> Result<Authorization, Error> {
        if let Some(authorization) = self.session.authorization(self.clock.monotonic()) {
            return Ok(authorization);
        }
        let asked = self.settings.token_ttl;
        let seconds = format!("{}", asked.as_secs());
        // Without a length some hosts send an empty body in chunks, which IMDS does not take.
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
            let question = Question {
                step: Step::Token,
                method: Method::Put,
                path: &path,
                headers: &headers,
                limit: TOKEN_LIMIT,
            };
            let outcome = self.exchange(operation, question, &mut attempts).await;
            let now = self.clock.monotonic();
            let failure = match &outcome {
                Ok(response) if response.status == 200 => {
                    match self.session.accept(response, asked, sent, wall) {
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
                _ if self.pause(operation, attempts, &outcome).await => continue,
                _ => operation.failed(Step::Token, attempts, &outcome, now),
            };
            let ours = now >= operation.deadline;
            let until = match session::fallback(self.settings.imdsv1, &outcome, ours) {
                Fallback::Fail => return Err(failure.into()),
                Fallback::Once => None,
                Fallback::Stay => Some(now.saturating_add(asked)),
            };
            self.session.go_without(until, self.clock.wall(), failure);
            return Ok(Authorization::None);
        }
    }

    /// Waits before another attempt, if there is to be one (1.6, 1.7).
    async fn pause(
        &mut self,
        operation: &Operation,
        attempts: u32,
        outcome: &Result<Response, TransportError>,
    ) -> bool {
        if attempts >= self.settings.attempts {
            return false;
        }
        let Some(pause) = retry::pause(outcome, attempts, &mut self.random) else {
            return false;
        };
        // Whoever would wake up too late had better say now what is wrong.
        if self.clock.monotonic().saturating_add(pause) >= operation.deadline {
            return false;
        }
        self.clock.sleep(pause).await;
        true
    }

    async fn exchange(
        &mut self,
        operation: &Operation,
        question: Question<'_>,
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
            return Err(TransportError::Timeout("the time for the look-up was over"));
        }
        self.counts.add(question.step);
        *attempts += 1;
        self.transport
            .exchange(Request {
                method: question.method,
                authority: self.settings.endpoint.authority(),
                path: question.path,
                headers: question.headers,
                body_limit: question.limit,
                connect_timeout,
                read_timeout,
                deadline,
            })
            .await
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

/// What is asked for.
struct Question<'a> {
    step: Step,
    method: Method,
    path: &'a str,
    headers: &'a [(&'static str, &'a str)],
    limit: usize,
}

/// One look-up: when it began and when it must end.
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

    /// What an answer other than 200, or none, means (3.1).
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
                format!("IMDS answered {status}"),
            ),
            Err(TransportError::Denied) => (
                Reason::Denied,
                "the host does not allow requests to the endpoint".into(),
            ),
            Err(TransportError::Unavailable(why)) => (Reason::Unavailable, (*why).into()),
            Err(TransportError::Timeout(why)) => (Reason::Timeout, (*why).into()),
            Err(TransportError::Malformed(why)) => (Reason::InvalidResponse, (*why).into()),
            Err(TransportError::TooLong(limit)) => (
                Reason::InvalidResponse,
                format!("the body is longer than {limit} bytes"),
            ),
        };
        self.failure(reason, step, attempts, status, message, now)
    }
}
