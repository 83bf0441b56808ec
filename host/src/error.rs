//! Why there are no credentials.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::sandbox::bindings::provider as wit;

/// Why there are no credentials.
///
/// `Display` gives one sentence, which may change; a program looks at [`Error::kind`]. No secret is
/// ever in it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    details: Option<Details>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What is known of the exchange that failed.
#[derive(Clone, Debug)]
struct Details {
    status: Option<u16>,
    code: Option<String>,
    attempts: u32,
    elapsed: Duration,
}

/// What a program can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration says that IMDS must not be used.
    Disabled,
    /// The configuration is wrong.
    InvalidConfiguration,
    /// The sandbox does not let the component reach the endpoint.
    Denied,
    /// Nothing answers at the endpoint, or only server errors.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// IMDS asks for fewer requests (429 or 503).
    Throttled,
    /// IMDS answers 403.
    Forbidden,
    /// IMDS has nothing at this path.
    NotFound,
    /// The instance has no role.
    NoRole,
    /// IMDS gives an error code in place of credentials.
    Refused,
    /// IMDS gave credentials that had ended already.
    Expired,
    /// IMDS answered with a status that has no meaning here.
    UnexpectedStatus,
    /// IMDS answered with something that cannot be understood.
    InvalidResponse,
    /// This build of the component cannot do what was asked.
    Unsupported,
    /// The component trapped, or cannot be run.
    Component,
    /// Anything else.
    Other,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            details: None,
            source: None,
        }))
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status of the last answer of IMDS, if one came.
    pub fn status(&self) -> Option<u16> {
        self.0.details.as_ref().and_then(|details| details.status)
    }

    /// The `Code` that IMDS gave in place of credentials ([`ErrorKind::Refused`]), for instance
    /// `AssumeRoleUnauthorizedAccess`.
    pub fn code(&self) -> Option<&str> {
        self.0
            .details
            .as_ref()
            .and_then(|details| details.code.as_deref())
    }

    /// How many requests were sent for the step that failed.
    pub fn attempts(&self) -> Option<u32> {
        self.0.details.as_ref().map(|details| details.attempts)
    }

    /// How long the look-up took that failed.
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.details.as_ref().map(|details| details.elapsed)
    }

    /// What to do about it, in one sentence, where that is known.
    pub fn remedy(&self) -> Option<&'static str> {
        match self.0.kind {
            ErrorKind::Disabled => Some("allow the use of IMDS in the configuration"),
            ErrorKind::Denied => {
                Some("let the sandbox reach the endpoint that the component is configured for")
            }
            ErrorKind::Unavailable => Some(
                "check that this runs on an EC2 instance and that the endpoint is right; elsewhere, use an emulator",
            ),
            ErrorKind::Timeout => Some(
                "in a container, raise the hop limit of the instance's metadata options to 2; elsewhere, check that this runs on EC2",
            ),
            ErrorKind::Throttled => Some("ask IMDS less often: share one provider in the program"),
            ErrorKind::Forbidden => {
                Some("switch the metadata endpoint on in the instance's metadata options")
            }
            ErrorKind::NoRole => Some("attach an instance profile with a role to the instance"),
            ErrorKind::Refused => {
                Some("check that the role's trust policy lets ec2.amazonaws.com assume it")
            }
            _ => None,
        }
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
                    invalid.name, invalid.value, invalid.accepted
                ),
            ),
            wit::Error::Failed(failure) => failure.into(),
            wit::Error::Unsupported(what) => Self::new(ErrorKind::Unsupported, what),
            wit::Error::Other(what) => Self::new(ErrorKind::Other, what),
        }
    }
}

impl From<wit::Failure> for Error {
    fn from(failure: wit::Failure) -> Self {
        let step = match failure.step {
            wit::Step::Token => "the IMDS session token",
            wit::Step::RoleList => "the name of the role",
            wit::Step::RoleCredentials => "the credentials of the role",
            wit::Step::Metadata => "the metadata",
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
            .as_ref()
            .map(|code| format!(" ({code})"))
            .unwrap_or_default();
        let mut error = Self::new(
            kind,
            format!("cannot get {step}: {}{code}", failure.message),
        );
        error.0.details = Some(Details {
            status: failure.status,
            code: failure.code,
            attempts: failure.attempts,
            elapsed: Duration::from_millis(failure.elapsed),
        });
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("details", &self.0.details)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
