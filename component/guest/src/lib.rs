//! AWS credentials for a component in Rust, from whoever provides `imds:credentials/provider`: the
//! component `ec2-role-component` that it is composed with, or its host.
//!
//! ```no_run
//! let credentials = ec2_role_guest::credentials()?;
//! println!("signed by {}", credentials.access_key_id());
//! # Ok::<(), ec2_role_guest::Error>(())
//! ```
//!
//! With the feature `aws-sdk`, [`Provider`] is a `ProvideCredentials` of the AWS SDK for Rust.
//!
//! It is for components alone. Elsewhere it compiles, and every call gives an [`Error`] of the kind
//! [`Unsupported`](ErrorKind::Unsupported).

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
            message: "this is no WebAssembly component, and imports nothing".into(),
        })
    }

    pub(super) fn invalidate() {}

    pub(super) fn reject(_: &str) {}
}

/// Credentials that are good to use now: the ones held while they last, else new ones. Ask for each
/// request; it is cheap.
///
/// # Errors
///
/// When there are none.
pub fn credentials() -> Result<Credentials, Error> {
    imports::credentials()
}

/// Forgets the credentials held, so that the next call gets others.
pub fn invalidate() {
    imports::invalidate();
}

/// Tells that AWS did not accept the credentials with this key id. If they are the ones held, the next
/// call gets others.
pub fn reject(access_key_id: &str) {
    imports::reject(access_key_id);
}

/// The provider that is imported, as a value.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Provider;

impl Provider {
    /// The provider.
    pub fn new() -> Self {
        Self
    }

    /// [`credentials`].
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn credentials(&self) -> Result<Credentials, Error> {
        credentials()
    }
}

/// Temporary AWS credentials. `Debug` shows no secret.
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
    /// The id of the access key. Not a secret.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret access key. A secret.
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// The session token. A secret.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// The AWS account, where it is known.
    pub fn account_id(&self) -> Option<&str> {
        self.account_id.as_deref()
    }

    /// Where they come from, for instance `EC2RoleProvider`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// When they end. `None`: they do not.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires.map(moment)
    }

    /// Until when the provider gives these very ones.
    pub fn refresh_after(&self) -> SystemTime {
        moment(self.refresh_after)
    }
}

/// What is beyond the end of time is far away.
fn moment(seconds: u64) -> SystemTime {
    const FAR: Duration = Duration::from_secs(253_402_300_799);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds).min(FAR)
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

/// Why there are no credentials. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What a program can tell apart; the cases of the WIT package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration says that IMDS must not be used.
    Disabled,
    /// The configuration is wrong.
    InvalidConfiguration,
    /// The host does not let the provider reach IMDS.
    Denied,
    /// Nothing answers, or only server errors.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// IMDS asks for fewer requests.
    Throttled,
    /// IMDS answers 403.
    Forbidden,
    /// IMDS has nothing there.
    NotFound,
    /// The instance has no role.
    NoRole,
    /// IMDS gives an error code in place of credentials.
    Refused,
    /// The credentials had ended when they came.
    Expired,
    /// A status that has no meaning here.
    UnexpectedStatus,
    /// An answer that cannot be understood.
    InvalidResponse,
    /// The provider cannot do this.
    Unsupported,
    /// Anything else.
    Other,
}

impl Error {
    /// What kind of error this is.
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
