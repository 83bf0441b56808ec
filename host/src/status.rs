//! The state of a provider, and the events when it changes.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use tokio::sync::broadcast;

use crate::credentials::moment;
use crate::error::Error;
use crate::printable::Expected;
use crate::wit::ec2_role as wit;

/// The state of a provider. Moments are whole seconds. Texts from IMDS are shown as
/// [`printable`](crate::printable) describes.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Status {
    /// The protocol of the last successful look-up. `None` before the first.
    pub imds_version: Option<ImdsVersion>,
    /// Why no session token was issued, so that requests fell back to IMDSv1. `None` while there is a
    /// session token.
    pub fallback: Option<PastFailure>,
    /// The name of the role, once known.
    pub role_name: Option<String>,
    /// When the held session token was received. `None` if none is held.
    pub token_received: Option<DateTime<Utc>>,
    /// When the held session token expires.
    pub token_expires: Option<DateTime<Utc>>,
    /// The access key ID of the held credentials. Not a secret.
    pub access_key_id: Option<String>,
    /// When the held credentials were received. `None` if none are held.
    pub credentials_received: Option<DateTime<Utc>>,
    /// The expiration of the held credentials that their document states.
    pub document_expires: Option<DateTime<Utc>>,
    /// The expiration of the held credentials, which an extension may have moved.
    pub expires: Option<DateTime<Utc>>,
    /// When a refresh of the held credentials is due. `None`: at the next call.
    pub next_refresh: Option<DateTime<Utc>>,
    /// When IMDS last returned credentials that had not expired.
    pub last_success: Option<DateTime<Utc>>,
    /// The last failed refresh. A later success does not clear it.
    pub last_failure: Option<PastFailure>,
    /// When refreshes began to fail. `None` if the last refresh succeeded.
    pub failing_since: Option<DateTime<Utc>>,
    /// How many times in a row the held credentials were extended because a refresh failed. It counts
    /// nothing while no credentials are held.
    pub extensions: u32,
    /// How many refreshes were attempted, successful or not.
    pub refreshes: u64,
    /// The requests that were sent.
    pub requests: RequestCounts,
    /// How many times the component was restarted, because it trapped or exceeded the time limit of a
    /// call. A restart resets the counts above.
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

/// A failure, and when it happened.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PastFailure {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What failed.
    pub error: Error,
}

/// How many requests were sent, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RequestCounts {
    /// For session tokens.
    pub token: u64,
    /// For the name of the role.
    pub role_list: u64,
    /// For credentials.
    pub role_credentials: u64,
    /// For anything else.
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
            role_name: status
                .role_name
                .map(|name| Expected::RoleName.show(&name).into_owned()),
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

/// A change in the state of a provider.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// A refresh succeeded.
    #[serde(rename_all = "kebab-case")]
    Refreshed {
        /// The access key ID. Not a secret.
        access_key_id: String,
        /// When the credentials expire.
        expires: Option<DateTime<Utc>>,
    },
    /// A refresh failed, and the held credentials were extended.
    #[serde(rename_all = "kebab-case")]
    Extended {
        /// The access key ID. Not a secret.
        access_key_id: String,
        /// When the credentials expire now.
        expires: Option<DateTime<Utc>>,
        /// How many times in a row they have been extended.
        extensions: u32,
        /// Why the refresh failed.
        cause: Option<Error>,
    },
    /// Refreshes have begun to fail.
    FailingSince {
        /// When the first refresh failed.
        since: DateTime<Utc>,
        /// Why it failed.
        error: Error,
    },
    /// A refresh succeeded after failures.
    Recovered {
        /// When refreshes had begun to fail.
        since: DateTime<Utc>,
    },
    /// The component trapped or exceeded the time limit of a call, and was dropped. The next call
    /// restarts it.
    Restarted {
        /// What failed.
        error: Error,
    },
}

/// The events of a provider, from [`subscribe`](crate::Ec2RoleProvider::subscribe) on.
#[derive(Debug)]
pub struct Events(pub(crate) broadcast::Receiver<Event>);

impl Events {
    /// Waits for the next event. `None` if the provider was dropped.
    ///
    /// A slow receiver loses the oldest events once 64 are pending. The future needs no runtime, and
    /// dropping it loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event, if one is pending.
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
