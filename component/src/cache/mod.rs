//! The credentials held, and when to get others.
//!
//! | what is held | event | next |
//! | --- | --- | --- |
//! | nothing, or credentials that are due | IMDS gives credentials | these, due as the policy says |
//! | credentials that are due | IMDS gives none | the same, extended and due again as the policy says (5.3) |
//! | nothing | IMDS gives none | nothing; for one second the same error without a request (5.6) |
//! | credentials | `invalidate` | nothing |
//! | credentials | `reject` with their key id | the same, ended and due |
//!
//! Credentials are due when either clock says so (5.7): the wall clock, for it is what their end is
//! dated by; and the monotonic one, for the wall clock can be set back.

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

/// An error is given again without a request for so long (5.6).
const ERROR_LIFE: Duration = Duration::from_secs(1);

/// The cache's part of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// When to refresh, and what to do when that fails.
    pub policy: RefreshPolicy,
    /// How long before their end credentials are due; `None`: as the policy says.
    pub window: Option<Duration>,
    /// The part of `window` that is random, in percent.
    pub jitter: u32,
    /// How long past the end that IMDS gave credentials may be handed out; `None`: without bound.
    pub max_extension: Option<Duration>,
}

/// When credentials are refreshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// As `aws.CredentialsCache` of the AWS SDK for Go v2.
    #[default]
    Classic,
    /// With advisory and mandatory windows.
    Windowed,
}

impl Settings {
    /// The window less its random part (5.5).
    fn jittered(&self, window: Duration, random: &mut impl Random) -> Duration {
        let part = f64::from(self.jitter) / 100.0 * random.unit();
        window.saturating_sub(time::part(window, part))
    }
}

/// The cache of one provider (5.1).
#[derive(Debug, Default)]
pub struct Cache {
    settings: Settings,
    held: Option<Held>,
    failed: Option<Failed>,
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
    /// How often in a row they were kept because others could not be had.
    pub extensions: u32,
    /// When others are to be had.
    pub due: Due,
}

/// A moment that has come as soon as one of the two clocks says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// On the wall clock.
    pub wall: UnixTime,
    /// On the monotonic clock.
    pub monotonic: Monotonic,
}

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When IMDS last gave credentials that had not ended.
    pub last_success: Option<UnixTime>,
    /// The last failure, and when it was.
    pub last_failure: Option<(UnixTime, Error)>,
    /// Since when refreshes have been failing.
    pub failing_since: Option<UnixTime>,
    /// How often credentials were asked for.
    pub refreshes: u64,
}

/// An error that is given again for a while.
#[derive(Debug)]
struct Failed {
    until: Monotonic,
    error: Error,
}

/// What a policy makes of credentials: how they are handed out, and when others are due.
struct Kept {
    credentials: Credentials,
    due: UnixTime,
}

/// One look at both clocks.
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
    /// A cache that holds nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Goes on with other settings, and holds nothing.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
        self.invalidate();
    }

    /// The credentials held until they are due, else new ones (5.2). When those cannot be had, what
    /// the policy makes of the ones held (5.3).
    ///
    /// # Errors
    ///
    /// Those of [`Provider::retrieve`], where nothing is held, or nothing that may still be used.
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
            let again = planted::is(Planted::LostSingleFlight) && held.received == now.wall;
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
        let retrieved = provider.retrieve(client, || clock.wall()).await;
        let now = Now::of(clock);
        let outcome = match retrieved {
            Ok(retrieved) if retrieved.credentials.expired(now.wall) => {
                let cause = expired(&retrieved);
                self.take_expired(retrieved, now);
                self.go_on(cause, now, random)
            }
            Ok(retrieved) => Ok(self.accept(retrieved, now, random)),
            Err(cause) => self.go_on(cause, now, random),
        };
        self.failed = outcome.as_ref().err().map(|error| Failed {
            // From the end of the call: what took five seconds to fail is not to be had at once
            // again.
            until: now.monotonic.saturating_add(ERROR_LIFE),
            error: error.clone(),
        });
        outcome
    }

    /// Forgets the credentials held (5.4), and the last error.
    pub fn invalidate(&mut self) {
        self.held = None;
        self.failed = None;
    }

    /// Ends the credentials held, if their key has this id (5.4). They stay, for the case that IMDS
    /// is away.
    pub fn reject(&mut self, access_key_id: &str, clock: &impl Clock) {
        let now = Now::of(clock);
        if let Some(held) = &mut self.held
            && held.credentials.access_key_id == access_key_id
        {
            let ended = now.wall.floor();
            held.credentials.expires =
                Some(held.credentials.expires.map_or(ended, |end| end.min(ended)));
            held.credentials.refresh_after = held.credentials.refresh_after.min(ended);
            // While refreshes fail, `windowed` keeps its pause: whoever has its key rejected over
            // and over must not be able to flood IMDS.
            if self.settings.policy == RefreshPolicy::Classic || held.extensions == 0 {
                held.due = Due {
                    wall: now.wall,
                    monotonic: now.monotonic,
                };
            }
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

    /// Holds new credentials.
    fn accept(&mut self, retrieved: Retrieved, now: Now, random: &mut impl Random) -> Credentials {
        let Retrieved {
            credentials,
            role,
            document_expires,
            ..
        } = retrieved;
        let Kept { credentials, due } = match self.settings.policy {
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

    /// Holds credentials that had ended when they came (5.8), as due as they can be.
    fn take_expired(&mut self, retrieved: Retrieved, now: Now) {
        // They may still be the best that there are; those in hand can be better.
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

    /// Goes on with the credentials held, as the policy says, now that others could not be had
    /// (5.3).
    fn go_on(
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
        let Kept {
            mut credentials,
            mut due,
        } = match self.settings.policy {
            RefreshPolicy::Classic => classic::go_on(previous, cause, now.wall, random)?,
            RefreshPolicy::Windowed => windowed::go_on(previous, now.wall, random),
        };
        if let Some(last) = last {
            credentials.expires = credentials.expires.map(|expires| expires.min(last));
            due = due.min(last);
        }
        #[cfg(feature = "planted-faults")]
        if planted::is(Planted::EndlessExtension) {
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
    /// At the whole second: until then they are promised (5.2), and who comes then is not to be a fraction too
    /// early. But what is due in this very second is so at its moment, or those who waited for it would all ask
    /// again.
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

/// Credentials as they are handed out: promised until they are due, and never beyond their end.
fn hand_out(credentials: Credentials, due: UnixTime) -> Credentials {
    let end = credentials.expires.unwrap_or(UnixTime::MAX);
    Credentials {
        refresh_after: due.min(end).floor(),
        ..credentials
    }
}

/// The failure that credentials are which had ended when they came.
fn expired(retrieved: &Retrieved) -> Error {
    Error::Failed(Failure {
        reason: Reason::Expired,
        step: Step::RoleCredentials,
        status: Some(200),
        code: None,
        attempts: retrieved.attempts,
        elapsed: retrieved.elapsed,
        message: "IMDS gave credentials that had ended already".into(),
    })
}
