//! The last credentials that IMDS issued, on disk.
//!
//! A process that starts during an outage of IMDS holds no credentials that it could extend, and a
//! command that is started for each request never holds any. With a folder for them, the last
//! known good credentials outlive the process, until the expiration that their document states.
//!
//! A folder can become part of a machine image or a container image, or be shared by machines. A file is
//! therefore bound to the instance that it was written on, by its name and by its content.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::credentials::Credentials;
use crate::digest::sha256_hex;
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::instance_id;
use crate::private::Folder;
use crate::wit::provider as wit;

/// The size limit of a file. Credentials take about 2 KB.
const MAX_SIZE: u64 = 64 * 1024;

/// Credentials are handed out for at most an hour at a time, as the component does `[B4.4]`:
/// by then the caller asks again.
const MAX_LIFE: TimeDelta = TimeDelta::hours(1);

/// Files that were last written this long ago are deleted. AWS issues credentials for a role for at most
/// 12 hours.
const MAX_AGE: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// The file with one provider's last known good credentials.
#[derive(Debug)]
pub(crate) struct LastKnownGood {
    folder: PathBuf,
    name: String,
    instance: String,
}

/// The content of the file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    /// The SHA-256 of what identifies the instance.
    instance: String,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    account_id: Option<String>,
    source: String,
    expires: DateTime<Utc>,
}

impl LastKnownGood {
    /// Every instance, machine name, endpoint and role has a file of its own. `None` if the system does
    /// not tell which instance this is.
    pub(crate) fn new(folder: PathBuf, endpoint: &Endpoint, role: Option<&str>) -> Option<Self> {
        let Some(instance) = instance_id::local() else {
            let error = "the system does not tell which instance this is";
            tracing::warn!(
                ?folder,
                error,
                "cannot store the last known good credentials"
            );
            return None;
        };
        Some(Self::of(&instance, folder, endpoint, role))
    }

    fn of(instance: &str, folder: PathBuf, endpoint: &Endpoint, role: Option<&str>) -> Self {
        // Pods of one instance may have roles of their own, and share a folder.
        let machine = machine();
        let place = format!("{instance} {machine} {endpoint} {role:?}");
        Self {
            folder,
            name: format!("{}.json", sha256_hex(place.as_bytes())),
            instance: sha256_hex(instance.as_bytes()),
        }
    }

    /// Stores credentials, with the expiration that their document states.
    pub(crate) fn store(&self, credentials: &Credentials, document_expires: DateTime<Utc>) {
        let entry = Entry::new(&self.instance, credentials, document_expires);
        let written = Folder::open(&self.folder).and_then(|folder| {
            folder.clear_out(is_entry, MAX_AGE);
            folder.write(&self.name, &serde_json::to_vec(&entry)?)
        });
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
        if entry.instance != self.instance {
            tracing::debug!(folder = ?self.folder, error = "they are another instance's", "no last known good credentials");
            self.forget(None);
            return None;
        }
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
    fn new(instance: &str, credentials: &Credentials, expires: DateTime<Utc>) -> Self {
        Self {
            instance: instance.to_owned(),
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

/// Whether a file has the name of an entry, also of one that is being written. A program may use the
/// folder for other files too.
fn is_entry(name: &str) -> bool {
    name.split_once(".json").is_some_and(|(digest, rest)| {
        digest.len() == 64
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            && (rest.is_empty() || rest.ends_with(".tmp"))
    })
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        wit::Credentials {
            access_key_id: "id".into(),
            secret_access_key: "secret".into(),
            session_token: Some("token".into()),
            account_id: None,
            source: "EC2RoleProvider".into(),
            expires: None,
            refresh_after: 0,
        }
        .into()
    }

    #[test]
    fn credentials_of_another_instance_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        let on = |instance| LastKnownGood::of(instance, path.clone(), &Endpoint::ipv4(), None);
        let now = Utc::now();
        let here = on("i-0123456789abcdef0");
        here.store(&credentials(), now + TimeDelta::hours(6));
        assert_eq!(here.load(now).unwrap().access_key_id(), "id");
        let image = on("i-0fedcba9876543210");
        assert!(image.load(now).is_none());

        // Nor if the file has been given the name that it would have there.
        let copied = std::fs::copy(path.join(&here.name), path.join(&image.name));
        assert!(copied.is_ok());
        assert!(image.load(now).is_none());
        assert!(!path.join(&image.name).exists());
        assert!(here.load(now).is_some());
    }

    #[test]
    fn files_without_an_instance_are_not_used_and_old_ones_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        let here = LastKnownGood::of("here", path.clone(), &Endpoint::ipv4(), None);
        let now = Utc::now();
        here.store(&credentials(), now + TimeDelta::hours(6));
        // As an earlier version wrote it.
        let content = std::fs::read(path.join(&here.name)).unwrap();
        let mut entry: serde_json::Value = serde_json::from_slice(&content).unwrap();
        entry.as_object_mut().unwrap().remove("instance").unwrap();
        std::fs::write(path.join(&here.name), entry.to_string()).unwrap();
        assert!(here.load(now).is_none());

        let write = |name: &str, age: u64| {
            let file = std::fs::File::create(path.join(name)).unwrap();
            let modified = std::time::SystemTime::now() - Duration::from_secs(age * 60 * 60);
            file.set_modified(modified).unwrap();
        };
        let entry = |digit: &str, ending: &str| format!("{}.json{ending}", digit.repeat(64));
        write(&entry("0", ""), 49);
        write(&entry("0", ".1-1.tmp"), 49);
        write(&entry("1", ""), 47);
        write("another.json", 49);
        here.store(&credentials(), now + TimeDelta::hours(6));
        assert!(here.load(now).is_some());
        let exists = |name: &str| path.join(name).exists();
        assert!(!exists(&entry("0", "")) && !exists(&entry("0", ".1-1.tmp")));
        assert!(exists(&entry("1", "")) && exists("another.json"));
    }
}
