//! AWS credentials for components written in Rust. They come from the provider of the interface
//! `imds:credentials/provider`: the component `ec2-role-component`, if the two are composed, or the
//! host.
//!
//! ```no_run
//! let credentials = ec2_role_guest::credentials()?;
//! println!("signed by {}", credentials.access_key_id());
//! # Ok::<(), ec2_role_guest::Error>(())
//! ```
//!
//! With the feature `aws-sdk`, [`Provider`] implements `ProvideCredentials` of the AWS SDK for Rust.
//!
//! On targets other than WebAssembly this crate compiles, but every call fails with an [`Error`] of the
//! kind [`Unsupported`](ErrorKind::Unsupported).

#![deny(unsafe_code)]

use std::fmt;
use std::time::{Duration, SystemTime};

#[cfg(feature = "aws-sdk")]
mod aws_sdk;
#[cfg(target_arch = "wasm32")]
mod imports;
#[cfg(not(target_arch = "wasm32"))]
mod imports {
    use super::{Credentials, Error, ErrorKind};

    pub(super) fn credentials() -> Result<Credentials, Error> {
        Err(Error {
            kind: ErrorKind::Unsupported,
            message: "credentials are available only in a WebAssembly component".into(),
        })
    }

    pub(super) fn invalidate() {}

    pub(super) fn reject(_: &str) {}
}

/// Returns credentials that are valid now: the held credentials until they are due for a refresh,
/// otherwise new credentials. Call this for every request; it is cheap.
///
/// # Errors
///
/// If there are no credentials.
pub fn credentials() -> Result<Credentials, Error> {
    imports::credentials()
}

/// Forgets the held credentials, so that the next call gets new ones.
pub fn invalidate() {
    imports::invalidate();
}

/// Reports that AWS did not accept the credentials with this access key ID. If they are the held
/// credentials, the next call gets new ones.
pub fn reject(access_key_id: &str) {
    imports::reject(access_key_id);
}

/// The imported provider, as a value.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Provider;

impl Provider {
    /// The provider.
    pub fn new() -> Self {
        Self
    }

    /// Calls [`credentials`].
    ///
    /// # Errors
    ///
    /// If there are no credentials.
    pub fn credentials(&self) -> Result<Credentials, Error> {
        credentials()
    }
}

/// Temporary AWS credentials. `Debug` hides the secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    account_id: Option<String>,
    source: String,
    expires: Option<u64>,
    refresh_after: u64,
}

impl Credentials {
    /// The access key ID. Not a secret.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret access key. Do not log it.
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// The session token. Do not log it.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// The AWS account that the credentials belong to, if known.
    pub fn account_id(&self) -> Option<&str> {
        self.account_id.as_deref()
    }

    /// Where the credentials come from, for instance `EC2RoleProvider`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// When the credentials expire; `None` if they do not.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires.map(time)
    }

    /// Until when the provider returns exactly these credentials.
    pub fn refresh_after(&self) -> SystemTime {
        time(self.refresh_after)
    }
}

/// The time this many seconds after 1970, at most the end of the year 9999, which every platform can
/// represent.
fn time(seconds: u64) -> SystemTime {
    const LATEST: Duration = Duration::from_secs(253_402_300_799);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds).min(LATEST)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"..")
            .field("session_token", &self.session_token.as_ref().map(|_| ".."))
            .field("account_id", &self.account_id)
            .field("source", &self.source)
            .field("expires", &self.expires)
            .field("refresh_after", &self.refresh_after)
            .finish()
    }
}

/// Why there are no credentials. Contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The kinds of errors, as in the WIT package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration disables IMDS.
    Disabled,
    /// The configuration is invalid.
    InvalidConfiguration,
    /// The host does not allow the provider to reach IMDS.
    Denied,
    /// No connection, or a server error.
    Unavailable,
    /// No response in time.
    Timeout,
    /// IMDS asked for fewer requests.
    Throttled,
    /// IMDS answered 403.
    Forbidden,
    /// IMDS has nothing at this path.
    NotFound,
    /// The instance has no role.
    NoRole,
    /// IMDS returned an error code instead of credentials.
    Refused,
    /// The credentials had already expired when they were received.
    Expired,
    /// A status that is not expected for this request.
    UnexpectedStatus,
    /// A malformed or oversized response.
    InvalidResponse,
    /// The provider does not support the operation.
    Unsupported,
    /// Any other error.
    Other,
}

impl Error {
    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
