//! Credentials, as programs get them.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::sandbox::bindings::provider as wit;

/// Temporary AWS credentials. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    account_id: Option<String>,
    source: String,
    expires: Option<DateTime<Utc>>,
    refresh_after: DateTime<Utc>,
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

    /// The AWS account, where IMDS names it.
    pub fn account_id(&self) -> Option<&str> {
        self.account_id.as_deref()
    }

    /// Where they come from: `EC2RoleProvider`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// When they end. They must not be used then or later. `None`: they do not end.
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        self.expires
    }

    /// Until when the component gives these very ones without a request.
    pub fn refresh_after(&self) -> DateTime<Utc> {
        self.refresh_after
    }
}

impl From<wit::Credentials> for Credentials {
    fn from(credentials: wit::Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            session_token: credentials.session_token,
            account_id: credentials.account_id,
            source: credentials.source,
            expires: credentials.expires.map(moment),
            refresh_after: moment(credentials.refresh_after),
        }
    }
}

/// What is beyond the calendar is at its end.
fn moment(seconds: u64) -> DateTime<Utc> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
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
