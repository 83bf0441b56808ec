//! The credentials held, and when to get others.

use crate::credentials::Credentials;
use crate::error::Error;
use crate::ports::{Clock, Random};
use crate::provider::{self, MetadataClient, Retrieved, RoleName};
use crate::time::UnixTime;

/// The cache of one provider (5.1).
#[derive(Debug, Default)]
pub struct Cache {
    held: Option<Held>,
    record: Record,
}

/// Credentials, and what is known of them.
#[derive(Clone, Debug)]
pub struct Held {
    /// The credentials, as they are handed out.
    pub credentials: Credentials,
    /// When they were received.
    pub received: UnixTime,
    /// When their document says that they end.
    pub document_expires: UnixTime,
    /// The role that they are of.
    pub role: RoleName,
    /// How often in a row their life was extended.
    pub extensions: u32,
}

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When IMDS last gave credentials.
    pub last_success: Option<UnixTime>,
    /// The last failure, and when it was.
    pub last_failure: Option<(UnixTime, Error)>,
    /// Since when refreshes have been failing.
    pub failing_since: Option<UnixTime>,
    /// How often credentials were asked for.
    pub refreshes: u64,
}

impl Cache {
    /// The credentials held while they last, else new ones (5.2). When those cannot be had, what
    /// [`provider::handle_fail_to_refresh`] makes of the ones held (5.3).
    ///
    /// # Errors
    ///
    /// Those of [`provider::retrieve`], where nothing is held.
    pub async fn get<M: MetadataClient>(
        &mut self,
        client: &mut M,
        role: Option<&RoleName>,
        clock: &impl Clock,
        random: &mut impl Random,
    ) -> Result<Credentials, Error> {
        let now = clock.wall();
        if let Some(held) = &self.held
            && now < held.credentials.refresh_after
        {
            return Ok(held.credentials.clone());
        }
        self.record.refreshes += 1;
        let retrieved = provider::retrieve(client, role, || clock.wall()).await;
        let now = clock.wall();
        match retrieved {
            Ok(Retrieved {
                credentials,
                role,
                document_expires,
            }) => {
                self.record.last_success = Some(now);
                self.record.failing_since = None;
                let held = self.held.insert(Held {
                    credentials: until_they_end(credentials),
                    received: now,
                    document_expires,
                    role,
                    extensions: 0,
                });
                Ok(held.credentials.clone())
            }
            Err(error) => {
                self.record.last_failure = Some((now, error.clone()));
                self.record.failing_since.get_or_insert(now);
                let previous = self.held.as_ref().map(|held| held.credentials.clone());
                let extended = provider::handle_fail_to_refresh(previous, error, now, random)?;
                let extended = until_they_end(extended);
                if let Some(held) = &mut self.held {
                    if held.credentials.expires != extended.expires {
                        held.extensions = held.extensions.saturating_add(1);
                    }
                    held.credentials = extended.clone();
                }
                Ok(extended)
            }
        }
    }

    /// Forgets the credentials held (5.4).
    pub fn invalidate(&mut self) {
        self.held = None;
    }

    /// Marks the credentials held as ended, if their key has this id (5.5). They stay, to be
    /// extended should IMDS be away.
    pub fn reject(&mut self, access_key_id: &str, now: UnixTime) {
        if let Some(held) = &mut self.held
            && held.credentials.access_key_id == access_key_id
        {
            let ended = now.floor();
            held.credentials.expires = Some(ended);
            held.credentials.refresh_after = ended;
        }
    }

    /// The credentials held.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// What happened so far.
    pub fn record(&self) -> &Record {
        &self.record
    }
}

/// Credentials are given out until they end (5.2).
fn until_they_end(credentials: Credentials) -> Credentials {
    Credentials {
        refresh_after: credentials.expires.unwrap_or(UnixTime::MAX),
        ..credentials
    }
}
