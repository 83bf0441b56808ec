//! Errors.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeMap as _;

use crate::endpoint::without_password;
use crate::obstacle::Obstacle;
use crate::printable::{Expected, OneLine, one_line};
use crate::wit::provider as wit;

/// Why a call failed.
///
/// The text may change between versions; programs use [`Error::kind`] or one of the `is_…` methods.
/// It never contains a secret. Clones share their content: all callers that waited for the same
/// refresh get the same error.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    failure: Option<Failure>,
    obstacle: Option<Obstacle>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The exchange that failed.
#[derive(Clone, Debug)]
struct Failure {
    step: Step,
    status: Option<u16>,
    code: Option<String>,
    attempts: u32,
    elapsed: Duration,
}

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// IMDS is disabled by configuration.
    Disabled,
    /// A setting has an invalid value.
    InvalidConfiguration,
    /// The sandbox does not allow requests to the endpoint.
    Denied,
    /// The endpoint cannot be reached, or returns server errors.
    Unavailable,
    /// IMDS did not respond in time.
    Timeout,
    /// IMDS throttles requests (status 429 or 503).
    Throttled,
    /// IMDS refuses the request (status 403).
    Forbidden,
    /// The path does not exist in IMDS.
    NotFound,
    /// The instance has no role.
    NoRole,
    /// IMDS returns an error code in place of credentials.
    Refused,
    /// The credentials from IMDS had already expired.
    Expired,
    /// IMDS responded with an unexpected status.
    UnexpectedStatus,
    /// The response of IMDS is malformed.
    InvalidResponse,
    /// This build of the component does not support the call.
    Unsupported,
    /// The component trapped, exceeded the time limit of a call, or cannot be run.
    Component,
    /// Any other failure.
    Other,
}

/// An exchange with IMDS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// `PUT /latest/api/token`: the session token.
    Token,
    /// `GET …/iam/security-credentials/`: the name of the role.
    RoleList,
    /// `GET …/iam/security-credentials/<role>`: the document with the credentials.
    RoleCredentials,
    /// Any other path of the metadata tree.
    Metadata,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            failure: None,
            obstacle: None,
            source: None,
        }))
    }

    pub(crate) fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            failure: None,
            obstacle: None,
            source: Some(source.into()),
        }))
    }

    /// This error, with the obstacle that its exchange revealed.
    pub(crate) fn with_obstacle(self, obstacle: Option<Obstacle>) -> Self {
        match (Arc::try_unwrap(self.0), obstacle) {
            (Ok(inner), obstacle @ Some(_)) if inner.failure.is_some() => {
                Self(Arc::new(Inner { obstacle, ..inner }))
            }
            (Ok(inner), _) => Self(Arc::new(inner)),
            // An error that was just made has no clones.
            (Err(shared), _) => Self(shared),
        }
    }

    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether IMDS is disabled by configuration.
    pub fn is_disabled(&self) -> bool {
        self.kind() == ErrorKind::Disabled
    }

    /// Whether the sandbox does not allow requests to the endpoint.
    pub fn is_denied(&self) -> bool {
        self.kind() == ErrorKind::Denied
    }

    /// Whether the endpoint cannot be reached, returns server errors, or throttles requests. Such a
    /// failure may be transient.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Throttled)
    }

    /// Whether IMDS did not respond in time.
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::Timeout
    }

    /// Whether the instance has no role.
    pub fn is_no_role(&self) -> bool {
        self.kind() == ErrorKind::NoRole
    }

    /// Whether IMDS refuses: with status 403, or with an error [`code`](Self::code) in place of
    /// credentials.
    pub fn is_refused(&self) -> bool {
        matches!(self.kind(), ErrorKind::Refused | ErrorKind::Forbidden)
    }

    /// Whether the path does not exist in IMDS.
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// Whether the response is malformed, has an unexpected status, or contains expired credentials.
    pub fn is_invalid_response(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::InvalidResponse | ErrorKind::UnexpectedStatus | ErrorKind::Expired
        )
    }

    /// Whether a setting has an invalid value.
    pub fn is_invalid_configuration(&self) -> bool {
        self.kind() == ErrorKind::InvalidConfiguration
    }

    /// Whether the component trapped, exceeded the time limit of a call, or cannot be run.
    pub fn is_component(&self) -> bool {
        self.kind() == ErrorKind::Component
    }

    /// The exchange that failed. `None` if no exchange was involved.
    pub fn step(&self) -> Option<Step> {
        self.0.failure.as_ref().map(|failure| failure.step)
    }

    /// The HTTP status of the last response of IMDS. `None` if there was no response.
    pub fn status(&self) -> Option<u16> {
        self.0.failure.as_ref().and_then(|failure| failure.status)
    }

    /// The `Code` that IMDS returned in place of credentials ([`ErrorKind::Refused`]), for instance
    /// `AssumeRoleUnauthorizedAccess`.
    pub fn code(&self) -> Option<&str> {
        self.0
            .failure
            .as_ref()
            .and_then(|failure| failure.code.as_deref())
    }

    /// How many requests were sent for the exchange that failed.
    pub fn attempts(&self) -> Option<u32> {
        self.0.failure.as_ref().map(|failure| failure.attempts)
    }

    /// How long the failed look-up took.
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.failure.as_ref().map(|failure| failure.elapsed)
    }

    /// Why the endpoint is not the IMDS of EC2, or cannot be reached. `None` if the exchange did not
    /// show it.
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.0.obstacle
    }

    /// What to do about the error, in one sentence. `None` if no advice is known.
    pub fn remedy(&self) -> Option<&'static str> {
        if let Some(obstacle) = self.obstacle() {
            return Some(obstacle.remedy());
        }
        Some(match (self.kind(), self.step()) {
            (ErrorKind::Disabled, _) => {
                "unset AWS_EC2_METADATA_DISABLED, or enable IMDS in the program; or configure another source of credentials"
            }
            (ErrorKind::Denied, _) => {
                "allow requests to the configured endpoint: the egress policy must name the same host and port"
            }
            (ErrorKind::Unavailable, _) if self.status().is_none() => {
                "check that this runs on an EC2 instance and that the endpoint is right; elsewhere, use an emulator"
            }
            (ErrorKind::Unavailable, _) => "try again: IMDS reports an internal error",
            (ErrorKind::Timeout, Some(Step::Token)) => {
                "in a container on EC2, raise the hop limit in the instance's metadata options (HttpPutResponseHopLimit) to 2; otherwise, check that this runs on EC2"
            }
            (ErrorKind::Timeout, _) => {
                "check that this runs on EC2 and that no firewall drops the packets, or raise the timeouts"
            }
            (ErrorKind::Throttled, _) => {
                "send fewer requests: share one provider in the whole program"
            }
            // `[B2.7]` with the policy `on-refusal`.
            (ErrorKind::Forbidden, Some(Step::Token)) => {
                "on EC2, enable the metadata endpoint in the instance's metadata options (HttpEndpoint); if a proxy or another program without session tokens responds in its place, allow IMDSv1 with --imdsv1 on-refusal or AWS_EC2_METADATA_V1_DISABLED=false"
            }
            (ErrorKind::UnexpectedStatus, Some(Step::Token))
                if matches!(self.status(), Some(404 | 405)) =>
            {
                "the endpoint issues no session tokens, as proxies and programs that imitate IMDS may: if you trust it, allow IMDSv1 with --imdsv1 on-refusal or AWS_EC2_METADATA_V1_DISABLED=false"
            }
            (ErrorKind::Forbidden, _) => {
                "enable the metadata endpoint in the instance's metadata options (HttpEndpoint), and check that no firewall or proxy responds in its place"
            }
            (ErrorKind::NoRole, Some(Step::RoleCredentials)) => {
                "check the role's name: it has no credentials; if a proxy lists the role's ARN or its path, configure the name alone with --role-name, and if a name is configured, correct or remove it"
            }
            (ErrorKind::NoRole, _) => "attach an instance profile with a role to the instance",
            (ErrorKind::Refused, _) if self.code() == Some("AssumeRoleUnauthorizedAccess") => {
                "allow ec2.amazonaws.com to assume the role (sts:AssumeRole in the role's trust policy), and check that the role still exists"
            }
            (ErrorKind::Refused, _) => {
                "check the instance profile: AWS cannot issue credentials for its role"
            }
            (ErrorKind::Expired, _) => {
                "check the clock of this machine; if it is right, wait until IMDS issues new credentials"
            }
            (ErrorKind::InvalidResponse, Some(Step::RoleList)) => {
                "check what responds at /latest/meta-data/iam/security-credentials/: the first line must be the role's name, its path and name, or its ARN, and a proxy may return something else"
            }
            (ErrorKind::UnexpectedStatus | ErrorKind::InvalidResponse, _) => {
                "check that the endpoint is the IMDS of EC2, and not a proxy, the metadata service of another cloud or another program"
            }
            _ => return None,
        })
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Disabled => Self::new(
                ErrorKind::Disabled,
                "the use of IMDS is disabled by configuration",
            ),
            wit::Error::InvalidConfiguration(invalid) => Self::new(
                ErrorKind::InvalidConfiguration,
                format!(
                    "option {} is {:?}; accepted: {}",
                    one_line(&invalid.name),
                    without_password(&invalid.value),
                    one_line(&invalid.accepted)
                ),
            ),
            wit::Error::Failed(failure) => failure.into(),
            wit::Error::Unsupported(what) => {
                Self::new(ErrorKind::Unsupported, Expected::Sentence.show(&what))
            }
            wit::Error::Other(what) => Self::new(ErrorKind::Other, Expected::Sentence.show(&what)),
        }
    }
}

impl From<wit::Failure> for Error {
    fn from(failure: wit::Failure) -> Self {
        let (step, what) = match failure.step {
            wit::Step::Token => (Step::Token, "the IMDS session token"),
            wit::Step::RoleList => (Step::RoleList, "the name of the role"),
            wit::Step::RoleCredentials => (Step::RoleCredentials, "the credentials of the role"),
            wit::Step::Metadata => (Step::Metadata, "the metadata"),
        };
        let kind = match failure.reason {
            wit::Reason::Denied => ErrorKind::Denied,
            wit::Reason::Unavailable => ErrorKind::Unavailable,
            wit::Reason::Timeout => ErrorKind::Timeout,
            wit::Reason::Throttled => ErrorKind::Throttled,
            wit::Reason::Forbidden => ErrorKind::Forbidden,
            wit::Reason::NotFound => ErrorKind::NotFound,
            wit::Reason::NoRole => ErrorKind::NoRole,
            wit::Reason::Refused => ErrorKind::Refused,
            wit::Reason::Expired => ErrorKind::Expired,
            wit::Reason::UnexpectedStatus => ErrorKind::UnexpectedStatus,
            wit::Reason::InvalidResponse => ErrorKind::InvalidResponse,
        };
        let code = failure
            .code
            .map(|code| Expected::Word.show(&code).into_owned());
        let in_brackets = code.as_ref().map(|code| format!(" ({code})"));
        let message = format!(
            "cannot get {what}: {}{}",
            Expected::Sentence.show(&failure.message),
            in_brackets.unwrap_or_default()
        );
        Self(Arc::new(Inner {
            kind,
            message,
            failure: Some(Failure {
                step,
                status: failure.status,
                code,
                attempts: failure.attempts,
                elapsed: Duration::from_millis(failure.elapsed),
            }),
            obstacle: None,
            source: None,
        }))
    }
}

/// The error alone. The alternate form, `{:#}`, adds its sources.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match self.source() {
            Some(source) if f.alternate() => write!(f, ": {}", WithSources(source)),
            _ => Ok(()),
        }
    }
}

/// Displays an error with its sources, on one line.
pub(crate) struct WithSources<'a>(pub(crate) &'a dyn StdError);

impl fmt::Display for WithSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", OneLine(self.0))?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {}", OneLine(error))?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("failure", &self.0.failure)
            .field("obstacle", &self.0.obstacle)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// A map with `kind` and `message`, and with `step`, `status`, `code`, `attempts`, `elapsed-ms`,
/// `obstacle` and `remedy` where they are known.
impl serde::Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", &self.kind())?;
        map.serialize_entry("message", &self.0.message)?;
        if let Some(failure) = &self.0.failure {
            map.serialize_entry("step", &failure.step)?;
            if let Some(status) = failure.status {
                map.serialize_entry("status", &status)?;
            }
            if let Some(code) = &failure.code {
                map.serialize_entry("code", code)?;
            }
            map.serialize_entry("attempts", &failure.attempts)?;
            let elapsed = u64::try_from(failure.elapsed.as_millis()).unwrap_or(u64::MAX);
            map.serialize_entry("elapsed-ms", &elapsed)?;
        }
        if let Some(obstacle) = self.obstacle() {
            map.serialize_entry("obstacle", &obstacle)?;
        }
        if let Some(remedy) = self.remedy() {
            map.serialize_entry("remedy", remedy)?;
        }
        map.end()
    }
}
