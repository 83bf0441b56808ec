//! Credentials, as the provider hands them out.

use alloc::string::String;

use crate::secret::Secret;
use crate::time::UnixTime;

/// What [`Credentials::source`] says of credentials from IMDS. The name is the one of the AWS SDK
/// for Go v2.
pub const SOURCE: &str = "EC2RoleProvider";

/// Temporary AWS credentials. Mirrors `provider.credentials` of the WIT package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The id of the access key, which is not a secret.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: Secret,
    /// The session token.
    pub session_token: Option<Secret>,
    /// The account that the credentials belong to, where it is known.
    pub account_id: Option<String>,
    /// Where they come from.
    pub source: String,
    /// When they end; `None`: they do not.
    pub expires: Option<UnixTime>,
    /// Until when the cache gives out these very ones.
    pub refresh_after: UnixTime,
}

impl Credentials {
    /// Whether they have ended: at their end they have.
    pub fn expired(&self, now: UnixTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
