//! Why there are no credentials, or no metadata.
//!
//! These types mirror `provider.error` of the WIT package case by case, and `guest` converts between
//! the two. No message contains a secret. No message contains anything of a response body, except
//! the document's `Message` if the reason is [`Reason::Refused`].

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// Why an operation failed. It is small, because most of the code passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The configuration disables IMDS.
    Disabled,
    /// A setting has an invalid value.
    InvalidConfiguration(Box<InvalidOption>),
    /// An exchange with IMDS failed.
    Failed(Box<Failure>),
    /// This build does not support the operation or the option.
    Unsupported(String),
    /// Any other error.
    Other(String),
}

/// A failed exchange with IMDS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why the exchange failed.
    pub reason: Reason,
    /// Which exchange failed.
    pub step: Step,
    /// The status of the last response, if there was one.
    pub status: Option<u16>,
    /// The document's `Code` if the reason is [`Reason::Refused`].
    pub code: Option<String>,
    /// The number of requests sent for this step in this look-up.
    pub attempts: u32,
    /// The duration of the look-up.
    pub elapsed: Duration,
    /// What happened: one sentence that starts in lower case and has no full stop.
    pub message: String,
}

/// Why an exchange with IMDS failed `[B3.1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The host does not allow the request.
    Denied,
    /// No connection, or a server error.
    Unavailable,
    /// No response in time.
    Timeout,
    /// Status 429 or 503.
    Throttled,
    /// Status 403.
    Forbidden,
    /// Status 404.
    NotFound,
    /// The instance has no role.
    NoRole,
    /// The document contains an error code.
    Refused,
    /// The credentials had already expired when they were received.
    Expired,
    /// A status that is not expected for this request.
    UnexpectedStatus,
    /// A malformed or oversized response.
    InvalidResponse,
}

/// An exchange with IMDS, by its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The request for a session token.
    Token,
    /// The look-up of the role's name.
    RoleList,
    /// The look-up of the role's credentials document.
    RoleCredentials,
    /// The look-up of any other path.
    Metadata,
}

/// A setting with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOption {
    /// The option's name in `ec2-role.options`.
    pub name: String,
    /// The given value.
    pub value: String,
    /// The accepted values.
    pub accepted: String,
}

impl Error {
    /// The failed exchange, if the error is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Disabled
            | Self::InvalidConfiguration(_)
            | Self::Unsupported(_)
            | Self::Other(_) => None,
        }
    }

    /// Whether IMDS does not have the path.
    pub(crate) fn is_not_found(&self) -> bool {
        self.failure()
            .is_some_and(|failure| failure.reason == Reason::NotFound)
    }
}

/// The size limit of a text from elsewhere in a message, in characters.
const QUOTE_LIMIT: usize = 200;

/// A text from elsewhere, as it may be part of a message: one line of limited length without control
/// characters, which could be commands to a terminal.
#[cold]
pub(crate) fn quotable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(QUOTE_LIMIT)
        .collect()
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
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
