//! Why there are no credentials, or no metadata.
//!
//! These types mirror `provider.error` of the WIT package, case by case, and `guest` turns one into
//! the other. No message holds a secret, and none holds anything of an answer's body.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The configuration says that IMDS must not be used.
    Disabled,
    /// A setting cannot be used.
    InvalidConfiguration(InvalidOption),
    /// An exchange with IMDS failed.
    Failed(Failure),
    /// This build cannot do what was asked.
    Unsupported(String),
    /// Anything else.
    Other(String),
}

/// An exchange that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// Which exchange.
    pub step: Step,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// The document's `Code` where the reason is [`Reason::Refused`].
    pub code: Option<String>,
    /// Requests sent for this step in this look-up.
    pub attempts: u32,
    /// How long the look-up had taken.
    pub elapsed: Duration,
    /// What happened: one lower-case sentence without full stop.
    pub message: String,
}

/// Why an exchange failed (3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The host does not let us out.
    Denied,
    /// Nothing answers, or only server errors.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// 429 or 503.
    Throttled,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// The instance has no role.
    NoRole,
    /// The document carries an error code.
    Refused,
    /// The credentials had ended when they came.
    Expired,
    /// A status that has no meaning here.
    UnexpectedStatus,
    /// An answer that cannot be understood, or that is too long.
    InvalidResponse,
}

/// Which exchange a failure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The session token.
    Token,
    /// The name of the role.
    RoleList,
    /// The role's document.
    RoleCredentials,
    /// Any other path.
    Metadata,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOption {
    /// Its name in `ec2-role.options`.
    pub name: String,
    /// The value given.
    pub value: String,
    /// What is accepted.
    pub accepted: String,
}

impl Error {
    /// The exchange, where there was one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Disabled
            | Self::InvalidConfiguration(_)
            | Self::Unsupported(_)
            | Self::Other(_) => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("the use of IMDS is disabled by configuration"),
            Self::InvalidConfiguration(invalid) => invalid.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
            Self::Unsupported(what) | Self::Other(what) => f.write_str(what),
        }
    }
}

impl core::error::Error for Error {}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "session token",
            Self::RoleList => "role list",
            Self::RoleCredentials => "role credentials",
            Self::Metadata => "metadata",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.message)
    }
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "option {} is {:?}; accepted: {}",
            self.name, self.value, self.accepted
        )
    }
}
