//! Credentials.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

use crate::printable::Expected;
use crate::wit::provider as wit;

/// Temporary AWS credentials. `Debug` shows no secret. Clones share their content.
// Aligned so that the reference count of each `Arc` has a cache line of its own (two on processors
// that fetch lines in pairs): threads that read different copies do not slow each other down.
#[derive(Clone)]
#[repr(align(128))]
pub struct Credentials {
    inner: Arc<Inner>,
    /// Until when they are handed out without a call to the component.
    fresh_until: SystemTime,
}

#[derive(PartialEq, Eq)]
struct Inner {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    account_id: Option<String>,
    source: String,
    expires: Option<SystemTime>,
    refresh_after: SystemTime,
}

impl Credentials {
    /// The access key ID. Not a secret.
    pub fn access_key_id(&self) -> &str {
        &self.inner.access_key_id
    }

    /// The secret access key. A secret.
    pub fn secret_access_key(&self) -> &str {
        &self.inner.secret_access_key
    }

    /// The session token. A secret.
    pub fn session_token(&self) -> Option<&str> {
        self.inner.session_token.as_deref()
    }

    /// The AWS account ID, if IMDS names it.
    pub fn account_id(&self) -> Option<&str> {
        self.inner.account_id.as_deref()
    }

    /// The source of the credentials: `EC2RoleProvider`.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// The expiration: the credentials must not be used at this moment or later. `None`: they do not
    /// expire.
    ///
    /// After a failed refresh, the held credentials are extended. The expiration can then be later
    /// than what IMDS stated ([`Classic`](crate::RefreshPolicy::Classic)) or in the past
    /// ([`Windowed`](crate::RefreshPolicy::Windowed)), and AWS may reject the credentials.
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        self.inner.expires.map(DateTime::from)
    }

    /// Until when the component returns these credentials without a request.
    pub fn refresh_after(&self) -> DateTime<Utc> {
        self.inner.refresh_after.into()
    }

    /// The same credentials, to be handed out until `moment`.
    pub(crate) fn fresh_until(&self, moment: SystemTime) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            fresh_until: moment,
        }
    }

    /// The same credentials, to be handed out for `duration`, but not past their expiration.
    pub(crate) fn fresh_for_at_most(&self, duration: Duration, now: SystemTime) -> Self {
        let until = now + duration;
        self.fresh_until(
            self.inner
                .expires
                .map_or(until, |expires| expires.min(until)),
        )
    }

    /// Whether they may be handed out without a call to the component.
    pub(crate) fn are_fresh(&self, now: SystemTime) -> bool {
        now < self.fresh_until
    }

    /// Whether the component returns them again without a request.
    pub(crate) fn are_promised(&self, now: SystemTime) -> bool {
        now < self.inner.refresh_after
    }

    /// Whether they expire later than `margin` from now.
    pub(crate) fn last_longer_than(&self, margin: Duration, now: SystemTime) -> bool {
        self.inner
            .expires
            .is_none_or(|expires| now + margin < expires)
    }

    /// The time until they are due for a refresh.
    pub(crate) fn fresh_for(&self, now: SystemTime) -> Duration {
        self.fresh_until.duration_since(now).unwrap_or_default()
    }
}

impl From<wit::Credentials> for Credentials {
    fn from(credentials: wit::Credentials) -> Self {
        let refresh_after = moment(credentials.refresh_after);
        Self {
            inner: Arc::new(Inner {
                access_key_id: credentials.access_key_id,
                secret_access_key: credentials.secret_access_key,
                session_token: credentials.session_token,
                account_id: credentials.account_id,
                source: credentials.source,
                expires: credentials.expires.map(moment),
                refresh_after,
            }),
            fresh_until: refresh_after,
        }
    }
}

/// Seconds since 1970. A moment that the calendar cannot express becomes its last one.
pub(crate) fn moment(seconds: u64) -> SystemTime {
    const LAST: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

    match i64::try_from(seconds) {
        Ok(since_epoch) if since_epoch <= LAST.timestamp() => {
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        }
        _ => LAST.into(),
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Credentials {}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field(
                "access_key_id",
                &Expected::AccessKeyId.show(self.access_key_id()),
            )
            .field("secret_access_key", &"..")
            .field("session_token", &self.session_token().map(|_| ".."))
            .field(
                "account_id",
                &self.account_id().map(|id| Expected::AccountId.show(id)),
            )
            .field("source", &Expected::Word.show(self.source()))
            .field("expires", &self.expires())
            .field("refresh_after", &self.refresh_after())
            .finish()
    }
}
