//! A set of credentials, as the provider hands it out.

use alloc::string::String;

use crate::secret::Secret;
use crate::time::UnixTime;

/// The [`Credentials::source`] of credentials from IMDS: the name that the AWS SDK for Go v2 uses.
pub const SOURCE: &str = "EC2RoleProvider";

/// Temporary AWS credentials. Mirrors `provider.credentials` of the WIT package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The access key ID. Not a secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token.
    pub session_token: Option<Secret>,
    /// The AWS account that the credentials belong to, if known.
    pub account_id: Option<String>,
    /// Where the credentials come from.
    pub source: String,
    /// When the credentials expire; `None` if they do not.
    pub expires: Option<UnixTime>,
    /// Until when the cache hands out exactly these credentials.
    pub refresh_after: UnixTime,
}

impl Credentials {
    /// Whether the credentials have expired. At the time of their expiration they have.
    pub fn expired(&self, now: UnixTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
