//! The held credentials, and when to refresh them.
//!
//! | held | event | next |
//! | --- | --- | --- |
//! | nothing, or credentials that are due | the refresh succeeds | the new credentials, due as the policy says |
//! | credentials that are due | the refresh fails | the same credentials, extended and due again as the policy says `[B5.3]` |
//! | nothing | the refresh fails | nothing; for one second, calls fail with the same error without a request `[B5.6]` |
//! | credentials | `invalidate` | nothing |
//! | credentials | `reject` with their access key ID | the same credentials, expired and due |
//!
//! Credentials are due as soon as one of the two clocks says so `[B5.7]`: the wall clock, by which AWS
//! dates their expiration, or the monotonic clock, because the wall clock can be set back.

use core::time::Duration;

use crate::credentials::Credentials;
use crate::error::{Error, Failure, Reason, Step};
use crate::metadata::MetadataClient;
#[cfg(feature = "planted-faults")]
use crate::planted::{self, Planted};
use crate::ports::{Clock, Random};
use crate::provider::{Provider, Retrieved, RoleName};
use crate::time::{self, Monotonic, UnixTime};

mod classic;
mod windowed;

/// How long calls fail with the last error without sending a request `[B5.6]`.
const ERROR_LIFETIME: Duration = Duration::from_secs(1);

/// The settings of the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// When to refresh, and what to do if the refresh fails.
    pub policy: RefreshPolicy,
    /// How long before their expiration credentials are due; `None` for the default of the policy.
    pub window: Option<Duration>,
    /// The random part of `window`, in percent.
    pub jitter: u32,
    /// How long past the expiration that IMDS stated credentials may be extended; `None` for unlimited.
    pub max_extension: Option<Duration>,
}

/// When credentials are refreshed, and what happens if the refresh fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// As `aws.CredentialsCache` of the AWS SDK for Go v2 `[B5.5]`.
    #[default]
    Classic,
    /// With advisory and mandatory refresh windows, as the AWS SDKs agreed on `[B5.9]`.
    Windowed,
}

impl Settings {
    /// The window minus its random part `[B5.5]`.
    fn jittered(&self, window: Duration, random: &mut impl Random) -> Duration {
        let part = f64::from(self.jitter) / 100.0 * random.unit();
        window.saturating_sub(time::part(window, part))
    }
}

/// The cache of one provider `[B5.1]`.
#[derive(Debug, Default)]
pub struct Cache {
    settings: Settings,
    held: Option<Held>,
    failed: Option<Failed>,
    record: Record,
}

/// The held credentials, and their history.
#[derive(Clone, Debug)]
pub struct Held {
    /// The credentials as they are handed out.
    pub credentials: Credentials,
    /// When the credentials were received.
    pub received: UnixTime,
    /// The expiration that their document states.
    pub document_expires: UnixTime,
    /// The role of the credentials.
    pub role: RoleName,
    /// How many times in a row the credentials were extended because a refresh failed.
    pub extensions: u32,
    /// When to refresh the credentials.
    pub due: Due,
}

/// A time that has come as soon as one of the two clocks has reached it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// On the wall clock.
    pub wall: UnixTime,
    /// On the monotonic clock.
    pub monotonic: Monotonic,
}

/// The history of refreshes.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When IMDS last returned credentials that had not expired.
    pub last_success: Option<UnixTime>,
    /// The last failure and its time.
    pub last_failure: Option<(UnixTime, Error)>,
    /// When the current series of failed refreshes began.
    pub failing_since: Option<UnixTime>,
    /// How many times credentials were requested from IMDS.
    pub refreshes: u64,
}

/// An error that is returned again without a request for a while.
#[derive(Debug)]
struct Failed {
    until: Monotonic,
    error: Error,
}

/// The decision of a policy: the credentials to hand out, and when they are due.
struct Decision {
    credentials: Credentials,
    due: UnixTime,
}

/// The time of both clocks.
#[derive(Clone, Copy)]
struct Now {
    wall: UnixTime,
    monotonic: Monotonic,
}

impl Now {
    fn of(clock: &impl Clock) -> Self {
        Self {
            wall: clock.wall(),
            monotonic: clock.monotonic(),
        }
    }
}

impl Cache {
    /// An empty cache.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Replaces the settings and forgets the held credentials.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
        self.invalidate();
    }

    /// Returns the held credentials until they are due, otherwise new credentials `[B5.2]`. If the
    /// refresh fails, extends the held credentials as the policy says `[B5.3]`.
    ///
    /// # Errors
    ///
    /// Those of [`Provider::retrieve`], if no credentials are held that may be extended.
    pub async fn get<M: MetadataClient>(
        &mut self,
        provider: &mut Provider,
        client: &mut M,
        clock: &impl Clock,
        random: &mut impl Random,
    ) -> Result<Credentials, Error> {
        let now = Now::of(clock);
        if let Some(held) = self.held.as_ref().filter(|held| !held.due.has_come(now)) {
            #[cfg(feature = "planted-faults")]
            let again = planted::is_active(Planted::LostSingleFlight) && held.received == now.wall;
            #[cfg(not(feature = "planted-faults"))]
            let again = false;
            if !again {
                return Ok(held.credentials.clone());
            }
        }
        if let Some(failed) = self
            .failed
            .as_ref()
            .filter(|failed| now.monotonic < failed.until)
        {
            return Err(failed.error.clone());
        }
        self.record.refreshes = self.record.refreshes.saturating_add(1);
        let retrieved = provider.retrieve(client, clock).await;
        let now = Now::of(clock);
        let outcome = match retrieved {
            Ok(retrieved) if retrieved.credentials.expired(now.wall) => {
                let cause = expired(&retrieved);
                self.hold_expired(retrieved, now);
                self.extend(cause, now, random)
            }
            Ok(retrieved) => Ok(self.accept(retrieved, now, random)),
            Err(cause) => self.extend(cause, now, random),
        };
        self.failed = outcome.as_ref().err().map(|error| Failed {
            // From the end of the call: after a failure that took five seconds, the next call must not
            // start another.
            until: now.monotonic.saturating_add(ERROR_LIFETIME),
            error: error.clone(),
        });
        outcome
    }

    /// Forgets the held credentials and the last error `[B5.4]`.
    pub fn invalidate(&mut self) {
        self.held = None;
        self.failed = None;
    }

    /// Marks the held credentials as expired if they have this access key ID `[B5.4]`. They stay held,
    /// in case the refresh fails.
    pub fn reject(&mut self, access_key_id: &str, clock: &impl Clock) {
        let now = Now::of(clock);
        if let Some(held) = &mut self.held
            && held.credentials.access_key_id == access_key_id
        {
            let second = now.wall.floor();
            let expires = held.credentials.expires.unwrap_or(second);
            held.credentials.expires = Some(expires.min(second));
            held.credentials.refresh_after = held.credentials.refresh_after.min(second);
            // While refreshes fail, `windowed` keeps its back-off: a caller that reports rejected keys
            // again and again must not be able to flood IMDS.
            if self.settings.policy == RefreshPolicy::Classic || held.extensions == 0 {
                held.due = Due {
                    wall: now.wall,
                    monotonic: now.monotonic,
                };
            }
        }
    }

    /// The held credentials.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The history of refreshes.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Holds new credentials.
    fn accept(&mut self, retrieved: Retrieved, now: Now, random: &mut impl Random) -> Credentials {
        let Retrieved {
            credentials,
            role,
            document_expires,
            ..
        } = retrieved;
        let Decision { credentials, due } = match self.settings.policy {
            RefreshPolicy::Classic => {
                classic::accept(&self.settings, credentials, now.wall, random)
            }
            RefreshPolicy::Windowed => {
                windowed::accept(&self.settings, credentials, now.wall, random)
            }
        };
        self.record.last_success = Some(now.wall);
        self.record.failing_since = None;
        let held = self.held.insert(Held {
            credentials: hand_out(credentials, due),
            received: now.wall,
            document_expires,
            role,
            extensions: 0,
            due: Due::at(due, now),
        });
        held.credentials.clone()
    }

    /// Holds credentials that had already expired when they were received `[B5.8]`. They are due at
    /// once.
    fn hold_expired(&mut self, retrieved: Retrieved, now: Now) {
        // The held credentials stay if their document states a later expiration.
        let held = self.held.as_ref();
        if held.is_some_and(|held| held.document_expires > retrieved.document_expires) {
            return;
        }
        self.held = Some(Held {
            credentials: retrieved.credentials,
            received: now.wall,
            document_expires: retrieved.document_expires,
            role: retrieved.role,
            extensions: held.map_or(0, |held| held.extensions),
            due: Due::at(now.wall, now),
        });
    }

    /// Extends the held credentials as the policy says, because a refresh failed with `cause` `[B5.3]`.
    fn extend(
        &mut self,
        cause: Error,
        now: Now,
        random: &mut impl Random,
    ) -> Result<Credentials, Error> {
        self.record.last_failure = Some((now.wall, cause.clone()));
        self.record.failing_since.get_or_insert(now.wall);
        let Some(held) = &mut self.held else {
            return Err(cause);
        };
        let last = self
            .settings
            .max_extension
            .map(|most| held.document_expires.saturating_add(most));
        if last.is_some_and(|last| last <= now.wall) {
            return Err(cause);
        }
        let previous = held.credentials.clone();
        let Decision {
            mut credentials,
            mut due,
        } = match self.settings.policy {
            RefreshPolicy::Classic => classic::extend(previous, cause, now.wall, random)?,
            RefreshPolicy::Windowed => windowed::extend(previous, now.wall, random),
        };
        if let Some(last) = last {
            credentials.expires = credentials.expires.map(|expires| expires.min(last));
            due = due.min(last);
        }
        #[cfg(feature = "planted-faults")]
        if planted::is_active(Planted::EndlessExtension) {
            due = UnixTime::MAX;
            credentials.expires = credentials.expires.map(|_| due);
        }
        held.credentials = hand_out(credentials, due);
        held.extensions = held.extensions.saturating_add(1);
        held.due = Due::at(due, now);
        Ok(held.credentials.clone())
    }
}

impl Due {
    /// Credentials are promised until a whole second `[B5.2]`, so they are due exactly then, and not a
    /// fraction later. Only if that second has begun already are they due at the exact time: otherwise
    /// all callers that waited for this refresh would start another one.
    fn at(wall: UnixTime, now: Now) -> Self {
        let second = wall.floor();
        let wall = if second > now.wall { second } else { wall };
        Self {
            wall,
            monotonic: now.monotonic.saturating_add(wall.since(now.wall)),
        }
    }

    fn has_come(&self, now: Now) -> bool {
        self.wall <= now.wall || self.monotonic <= now.monotonic
    }
}

/// Promises `credentials` until they are due, but not past their expiration.
fn hand_out(credentials: Credentials, due: UnixTime) -> Credentials {
    let expires = credentials.expires.unwrap_or(UnixTime::MAX);
    Credentials {
        refresh_after: due.min(expires).floor(),
        ..credentials
    }
}

/// The error for credentials that had already expired when they were received.
fn expired(retrieved: &Retrieved) -> Error {
    Failure {
        reason: Reason::Expired,
        step: Step::RoleCredentials,
        status: Some(200),
        code: None,
        attempts: retrieved.attempts,
        elapsed: retrieved.elapsed,
        message: "IMDS returned credentials that had already expired".into(),
    }
    .into()
}
