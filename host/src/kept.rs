//! Credentials that outlive the process.
//!
//! A process that starts while IMDS is away has nothing to go on with; and a command that is started
//! for each set of credentials never has. With a folder to keep them in, the last ones that IMDS
//! gave are there, until their document says that they end.

use std::fmt;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::compiled::hex;
use crate::credentials::Credentials;
use crate::error::ErrorKind;
use crate::private::Folder;

/// Credentials have two kilobytes.
const MOST: u64 = 64 * 1024;

/// As the component has it (behaviour 4.4): whoever is given them comes back by then.
const LONGEST: TimeDelta = TimeDelta::hours(1);

/// The place of one provider's credentials.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    name: String,
}

/// What is in the file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Entry {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) source: String,
    pub(crate) expires: DateTime<Utc>,
}

impl Kept {
    /// Another machine (home directories are shared), another endpoint or another role has another place.
    pub(crate) fn new(folder: PathBuf, endpoint: &dyn fmt::Debug, role: Option<&str>) -> Self {
        let machine = machine();
        let place = format!("{machine} {endpoint:?} {role:?}");
        let name = format!("{}.json", hex(place.as_bytes()));
        Self { folder, name }
    }

    pub(crate) fn store(&self, credentials: &Credentials, document_expires: DateTime<Utc>) {
        let entry = credentials.to_entry(document_expires);
        let written = Folder::open(&self.folder)
            .and_then(|folder| folder.write(&self.name, &serde_json::to_vec(&entry)?));
        if let Err(error) = written {
            tracing::warn!(folder = ?self.folder, %error, "credentials are not kept");
        }
    }

    /// What was kept, if it has not ended.
    pub(crate) fn load(&self, now: DateTime<Utc>) -> Option<Credentials> {
        let read = Folder::open(&self.folder).and_then(|folder| folder.read(&self.name, MOST));
        let entry: Entry = match read.and_then(|content| Ok(serde_json::from_slice(&content)?)) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::debug!(folder = ?self.folder, %error, "no credentials were kept");
                return None;
            }
        };
        if entry.expires <= now {
            self.forget(None);
            return None;
        }
        let expires = entry.expires.min(now + LONGEST);
        Some(Entry { expires, ..entry }.into())
    }

    /// Forgets them; with a key id, only if it is theirs.
    pub(crate) fn forget(&self, access_key_id: Option<&str>) {
        let Ok(folder) = Folder::open(&self.folder) else {
            return;
        };
        let theirs = |id: &str| {
            let content = folder.read(&self.name, MOST).unwrap_or_default();
            serde_json::from_slice::<Entry>(&content).is_ok_and(|entry| entry.access_key_id == id)
        };
        if access_key_id.is_none_or(theirs) {
            let _ = folder.remove(&self.name);
        }
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

/// Whether to go on with credentials that were kept: IMDS is away, and has not said that there are
/// none.
pub(crate) fn helps(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Throttled
            | ErrorKind::Expired
            | ErrorKind::Component
    )
}
