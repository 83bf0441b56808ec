//! What a provider has been doing, and what changes.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use tokio::sync::broadcast;

use crate::credentials::moment;
use crate::error::Error;
use crate::wit::ec2_role as wit;

/// What a provider has been doing. Moments are whole seconds.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Status {
    /// The protocol of the last look-up that succeeded. `None` before the first.
    pub imds_version: Option<ImdsVersion>,
    /// Why there is no session token, so that requests went without (IMDSv1). `None` while there is
    /// one.
    pub fallback: Option<PastFailure>,
    /// The name of the role, once known.
    pub role_name: Option<String>,
    /// When the session token in hand was received. `None`: there is none.
    pub token_received: Option<DateTime<Utc>>,
    /// When the session token in hand ends.
    pub token_expires: Option<DateTime<Utc>>,
    /// The id of the key of the credentials in hand. Not a secret.
    pub access_key_id: Option<String>,
    /// When the credentials in hand were received. `None`: there are none.
    pub credentials_received: Option<DateTime<Utc>>,
    /// When the document behind the credentials in hand says that they end.
    pub document_expires: Option<DateTime<Utc>>,
    /// When the credentials in hand count as expired.
    pub expires: Option<DateTime<Utc>>,
    /// When IMDS will be asked for others. `None`: at the next call.
    pub next_refresh: Option<DateTime<Utc>>,
    /// When IMDS last gave credentials that had not ended.
    pub last_success: Option<DateTime<Utc>>,
    /// The last failure to get credentials. It stays after a success: compare the moments.
    pub last_failure: Option<PastFailure>,
    /// Since when refreshes have been failing. `None` while all is well.
    pub failing_since: Option<DateTime<Utc>>,
    /// How often in a row the credentials in hand were kept because others could not be had.
    pub extensions: u32,
    /// How often credentials were asked for, successfully or not.
    pub refreshes: u64,
    /// Requests that were sent.
    pub requests: RequestCounts,
    /// How often the component had to be started again, because it trapped or did not come to an
    /// end. The numbers above then begin again.
    pub restarts: u64,
}

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ImdsVersion {
    /// IMDSv1: without a session token.
    V1,
    /// IMDSv2: with a session token.
    V2,
}

/// A failure, and when it was.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PastFailure {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub error: Error,
}

/// Requests sent, by what they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RequestCounts {
    /// Session tokens.
    pub token: u64,
    /// The name of the role.
    pub role_list: u64,
    /// Credentials.
    pub role_credentials: u64,
    /// All other requests.
    pub metadata: u64,
}

impl Status {
    pub(crate) fn new(
        status: wit::ProviderStatus,
        access_key_id: Option<String>,
        restarts: u64,
    ) -> Self {
        Self {
            imds_version: status.imds_version.map(|version| match version {
                wit::ImdsVersion::V1 => ImdsVersion::V1,
                wit::ImdsVersion::V2 => ImdsVersion::V2,
            }),
            fallback: status.fallback.map(PastFailure::from),
            role_name: status.role_name,
            token_received: status.token_received.map(date),
            token_expires: status.token_expires.map(date),
            access_key_id,
            credentials_received: status.credentials_received.map(date),
            document_expires: status.document_expires.map(date),
            expires: status.expires.map(date),
            next_refresh: status.next_refresh.map(date),
            last_success: status.last_success.map(date),
            last_failure: status.last_failure.map(PastFailure::from),
            failing_since: status.failing_since.map(date),
            extensions: status.extensions,
            refreshes: status.refreshes,
            requests: RequestCounts {
                token: status.requests.token,
                role_list: status.requests.role_list,
                role_credentials: status.requests.role_credentials,
                metadata: status.requests.metadata,
            },
            restarts,
        }
    }
}

impl From<wit::PastFailure> for PastFailure {
    fn from(failure: wit::PastFailure) -> Self {
        Self {
            at: date(failure.at),
            error: failure.error.into(),
        }
    }
}

fn date(seconds: u64) -> DateTime<Utc> {
    SystemTime::into(moment(seconds))
}

/// A change in what a provider has.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// IMDS gave credentials.
    #[serde(rename_all = "kebab-case")]
    Refreshed {
        /// The id of their key. Not a secret.
        access_key_id: String,
        /// When they end.
        expires: Option<DateTime<Utc>>,
    },
    /// IMDS gave none, and the ones in hand go on.
    #[serde(rename_all = "kebab-case")]
    Extended {
        /// The id of their key. Not a secret.
        access_key_id: String,
        /// When they end now.
        expires: Option<DateTime<Utc>>,
        /// How often in a row they were kept.
        extensions: u32,
        /// Why there are no others.
        cause: Option<Error>,
    },
    /// Refreshes have begun to fail.
    FailingSince {
        /// Since when.
        since: DateTime<Utc>,
        /// Why.
        error: Error,
    },
    /// IMDS gives credentials again.
    Recovered {
        /// Since when refreshes had been failing.
        since: DateTime<Utc>,
    },
    /// The component trapped or did not come to an end, and was dropped. The next call starts it
    /// again.
    Restarted {
        /// What happened.
        error: Error,
    },
}

/// Changes of a provider, from [`subscribe`](crate::Ec2RoleProvider::subscribe) on.
#[derive(Debug)]
pub struct Events(pub(crate) broadcast::Receiver<Event>);

impl Events {
    /// The next change. `None` when the provider is gone.
    ///
    /// Who is slow misses the oldest of more than 64. Needs no runtime, and nothing is lost when it
    /// is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next change, if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        loop {
            match self.0.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}
