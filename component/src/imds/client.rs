//! Look-ups of a path: with a session token, within a deadline, bounded.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::error::{Error, Failure, Reason, Step};
use crate::imds::endpoint::Endpoint;
use crate::imds::session::{Session, TOKEN_HEADER, TOKEN_LIMIT, TTL_HEADER};
use crate::ports::{Clock, Method, Request, Response, Transport, TransportError};
use crate::secret::Secret;
use crate::time::Monotonic;

/// Where the token is (1.2). Never under a dated version: IMDS answers 403 there.
const TOKEN_ROOT: &str = "latest/api/token";

/// Listings and documents are at most so long (1.5).
pub const DOCUMENT_LIMIT: usize = 64 * 1024;

/// User data are at most so long (1.5). EC2 takes 16 KiB.
pub const USER_DATA_LIMIT: usize = 1024 * 1024;

const USER_AGENT: &str = concat!("ec2-role-component/", env!("CARGO_PKG_VERSION"));

/// The client's part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Do not send anything.
    pub disabled: bool,
    /// Where IMDS is.
    pub endpoint: Endpoint,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long an answer may take after that.
    pub read_timeout: Duration,
    /// How long a look-up may take.
    pub operation_timeout: Duration,
    /// The life of a token to ask for, in whole seconds.
    pub token_ttl: Duration,
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

/// Requests sent since the client began, answered or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// For tokens.
    pub token: u64,
    /// For the role list.
    pub role_list: u64,
    /// For the role's document.
    pub role_credentials: u64,
    /// For anything else.
    pub metadata: u64,
}

/// What was found at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The body.
    pub body: Vec<u8>,
    /// Requests that it took.
    pub attempts: u32,
    /// How long it took.
    pub elapsed: Duration,
}

impl Found {
    /// A failure that lies in the body.
    pub fn failure(&self, reason: Reason, step: Step, message: String) -> Failure {
        Failure {
            reason,
            step,
            status: Some(200),
            code: None,
            attempts: self.attempts,
            elapsed: self.elapsed,
            message,
        }
    }
}

/// The IMDS client.
#[derive(Debug)]
pub struct Client<T, C> {
    settings: Settings,
    session: Session,
    counts: RequestCounts,
    answered: bool,
    transport: T,
    clock: C,
}

impl<T: Transport, C: Clock> Client<T, C> {
    /// A client that has sent nothing yet.
    pub fn new(settings: Settings, transport: T, clock: C) -> Self {
        Self {
            settings,
            session: Session::default(),
            counts: RequestCounts::default(),
            answered: false,
            transport,
            clock,
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
        loop {
            let token = self.token(&operation).await?;
            attempts += 1;
            let headers = [("user-agent", USER_AGENT), (TOKEN_HEADER, token.expose())];
            let answer = self
                .exchange(&operation, step, Method::Get, &path, &headers, tree.limit())
                .await;
            match answer {
                Ok(response) if response.status == 200 => {
                    self.answered = true;
                    return Ok(Found {
                        body: response.body,
                        attempts,
                        elapsed: self.clock.monotonic().since(operation.began),
                    });
                }
                // 2.5: a token can end before its time (IMDS was restarted, the machine slept).
                // Once, for a new token that is not accepted either will not be helped by a third.
                Ok(response) if response.status == 401 && attempts == 1 => {
                    self.session.reject(&token)
                }
                outcome => {
                    let now = self.clock.monotonic();
                    return Err(operation.failed(step, attempts, outcome, now).into());
                }
            }
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

    /// Whether a look-up has ever succeeded. All are IMDSv2.
    pub fn answered(&self) -> bool {
        self.answered
    }

    /// A token that can be used: the one held, or a new one (2.1 to 2.4).
    async fn token(&mut self, operation: &Operation) -> Result<Secret, Error> {
        let sent = self.clock.monotonic();
        if let Some(token) = self.session.usable(sent) {
            return Ok(token.value().clone());
        }
        let wall = self.clock.wall();
        let asked = self.settings.token_ttl;
        let seconds = format!("{}", asked.as_secs());
        // Without a length some hosts send an empty body in chunks, which IMDS does not take.
        let headers = [
            ("user-agent", USER_AGENT),
            ("content-length", "0"),
            (TTL_HEADER, seconds.as_str()),
        ];
        let path = self.settings.endpoint.path(TOKEN_ROOT, "");
        let answer = self
            .exchange(
                operation,
                Step::Token,
                Method::Put,
                &path,
                &headers,
                TOKEN_LIMIT,
            )
            .await;
        let now = self.clock.monotonic();
        match answer {
            Ok(response) if response.status == 200 => {
                match self.session.accept(&response, asked, sent, wall) {
                    Ok(token) => Ok(token.value().clone()),
                    Err(message) => Err(operation
                        .failure(
                            Reason::InvalidResponse,
                            Step::Token,
                            1,
                            Some(200),
                            message.into(),
                            now,
                        )
                        .into()),
                }
            }
            outcome => Err(operation.failed(Step::Token, 1, outcome, now).into()),
        }
    }

    async fn exchange(
        &mut self,
        operation: &Operation,
        step: Step,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body_limit: usize,
    ) -> Result<Response, TransportError> {
        let count = match step {
            Step::Token => &mut self.counts.token,
            Step::RoleList => &mut self.counts.role_list,
            Step::RoleCredentials => &mut self.counts.role_credentials,
            Step::Metadata => &mut self.counts.metadata,
        };
        *count += 1;
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
                "the time for the operation was used up",
            ));
        }
        self.transport
            .exchange(Request {
                method,
                endpoint: &self.settings.endpoint,
                path,
                headers,
                body_limit,
                connect_timeout,
                read_timeout,
                deadline,
            })
            .await
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
    fn failed(
        &self,
        step: Step,
        attempts: u32,
        outcome: Result<Response, TransportError>,
        now: Monotonic,
    ) -> Failure {
        let status = outcome.as_ref().ok().map(|response| response.status);
        let (reason, message) = match outcome {
            Ok(Response { status, .. }) => {
                (of_status(status, step), format!("IMDS answered {status}"))
            }
            Err(TransportError::Denied) => (
                Reason::Denied,
                "the host does not allow requests to the endpoint".into(),
            ),
            Err(TransportError::Unavailable(why)) => (Reason::Unavailable, why.into()),
            Err(TransportError::Timeout(why)) => (Reason::Timeout, why.into()),
            Err(TransportError::Malformed(why)) => (Reason::InvalidResponse, why.into()),
            Err(TransportError::TooLong(limit)) => (
                Reason::InvalidResponse,
                format!("the body is longer than {limit} bytes"),
            ),
        };
        self.failure(reason, step, attempts, status, message, now)
    }
}

fn of_status(status: u16, step: Step) -> Reason {
    match status {
        403 => Reason::Forbidden,
        // The token path exists everywhere but on a server that knows no IMDSv2.
        404 if step != Step::Token => Reason::NotFound,
        429 | 503 => Reason::Throttled,
        500..=599 => Reason::Unavailable,
        _ => Reason::UnexpectedStatus,
    }
}
