//! The last credentials that IMDS issued, on disk.
//!
//! A process that starts during an outage of IMDS holds no credentials that it could extend, and a
//! command that is started for each request never holds any. With a folder for them, the last
//! known good credentials outlive the process, until the expiration that their document states.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::credentials::Credentials;
use crate::digest::sha256_hex;
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::private::Folder;
use crate::wit::provider as wit;

/// The size limit of a file. Credentials take about 2 KB.
const MAX_SIZE: u64 = 64 * 1024;

/// Credentials are handed out for at most an hour at a time, as the component does `[B4.4]`:
/// by then the caller asks again.
const MAX_LIFE: TimeDelta = TimeDelta::hours(1);

/// The file with one provider's last known good credentials.
#[derive(Debug)]
pub(crate) struct LastKnownGood {
    folder: PathBuf,
    name: String,
}

/// The content of the file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    account_id: Option<String>,
    source: String,
    expires: DateTime<Utc>,
}

impl LastKnownGood {
    /// Every machine (home directories can be shared), endpoint and role has a file of its own.
    pub(crate) fn new(folder: PathBuf, endpoint: &Endpoint, role: Option<&str>) -> Self {
        let machine = machine();
        let place = format!("{machine} {endpoint} {role:?}");
        let name = format!("{}.json", sha256_hex(place.as_bytes()));
        Self { folder, name }
    }

    /// Stores credentials, with the expiration that their document states.
    pub(crate) fn store(&self, credentials: &Credentials, document_expires: DateTime<Utc>) {
        let entry = Entry::new(credentials, document_expires);
        let written = Folder::open(&self.folder)
            .and_then(|folder| folder.write(&self.name, &serde_json::to_vec(&entry)?));
        if let Err(error) = written {
            tracing::warn!(folder = ?self.folder, %error, "cannot store the last known good credentials");
        }
    }

    /// The stored credentials, unless they have expired.
    pub(crate) fn load(&self, now: DateTime<Utc>) -> Option<Credentials> {
        let read = Folder::open(&self.folder).and_then(|folder| folder.read(&self.name, MAX_SIZE));
        let entry: Entry = match read.and_then(|content| Ok(serde_json::from_slice(&content)?)) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::debug!(folder = ?self.folder, %error, "no last known good credentials");
                return None;
            }
        };
        if entry.expires <= now {
            self.forget(None);
            return None;
        }
        Some(entry.into_credentials(now + MAX_LIFE))
    }

    /// Deletes the stored credentials. With a key ID, only if it is theirs.
    pub(crate) fn forget(&self, access_key_id: Option<&str>) {
        let Ok(folder) = Folder::open(&self.folder) else {
            return;
        };
        let theirs = |id: &str| {
            let content = folder.read(&self.name, MAX_SIZE).unwrap_or_default();
            serde_json::from_slice::<Entry>(&content).is_ok_and(|entry| entry.access_key_id == id)
        };
        if access_key_id.is_none_or(theirs) {
            let _ = folder.remove(&self.name);
        }
    }
}

impl Entry {
    fn new(credentials: &Credentials, expires: DateTime<Utc>) -> Self {
        Self {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: credentials.session_token().map(str::to_owned),
            account_id: credentials.account_id().map(str::to_owned),
            source: credentials.source().to_owned(),
            expires,
        }
    }

    /// Credentials that expire at `latest_expiration`, or earlier if the document says so.
    fn into_credentials(self, latest_expiration: DateTime<Utc>) -> Credentials {
        let expires = self.expires.min(latest_expiration);
        Credentials::from(wit::Credentials {
            access_key_id: self.access_key_id,
            secret_access_key: self.secret_access_key,
            session_token: self.session_token,
            account_id: self.account_id,
            source: self.source,
            expires: Some(u64::try_from(expires.timestamp()).unwrap_or_default()),
            // Due at once.
            refresh_after: 0,
        })
    }
}

/// The name of this machine.
fn machine() -> String {
    #[cfg(unix)]
    return rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    #[cfg(not(unix))]
    String::new()
}

/// Whether a failure of this kind may be bridged with the last known good credentials: IMDS cannot
/// be reached, and has not said that the instance has no credentials.
pub(crate) fn can_bridge(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Throttled
            | ErrorKind::Expired
            | ErrorKind::Component
    )
}
