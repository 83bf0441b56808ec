//! The handle that programs hold.
//!
//! | what is held | a caller gets |
//! | --- | --- |
//! | credentials that are not due | these, from the [`Snapshot`], without a lock |
//! | credentials that are due, `Windowed`, and more than a minute is left of them | these, but for the first caller, who waits for the refresh |
//! | anything else | what the refresh gives, the same for all |
//!
//! There is one refresh at a time, and the [`Owner`] of the instance sees it to its end.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use tokio::sync::{broadcast, oneshot};

use self::snapshot::Snapshot;
use crate::call::{Call, Calls, Reply, answer};
use crate::clock::Clock;
#[cfg(feature = "profile")]
use crate::config::AssumeRole;
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::metadata::Metadata;
use crate::status::{Event, Events, Status};

mod builder;
mod owner;
mod snapshot;

pub use self::builder::Builder;

/// In the last minute of their life nobody is given credentials that are due: everyone waits for
/// others `[B5.9]`.
const MANDATORY_WINDOW: Duration = Duration::from_secs(60);

/// Who does not read the events misses the oldest of more than this.
const EVENTS: usize = 64;

/// Gives credentials of the instance's role, from a component in a sandbox. Clones share the one
/// instance.
///
/// Hold the provider, not the credentials: it is cheap to ask, and what it gives is good to use at
/// that moment. Its futures need no runtime, and dropping them cancels nothing for other callers.
#[derive(Clone)]
pub struct Ec2RoleProvider {
    common: Arc<Common>,
    calls: Calls,
}

/// What the handles and the owner share.
struct Common {
    snapshot: Snapshot,
    clock: Arc<dyn Clock>,
    endpoint: Endpoint,
    windowed: bool,
    refresh: Mutex<Option<Refresh>>,
    status: Mutex<Status>,
    events: broadcast::Sender<Event>,
    #[cfg(feature = "profile")]
    assume_role: Option<AssumeRole>,
}

/// A refresh that is under way; all who wait for it are given the same.
type Refresh = Shared<Pin<Box<dyn Future<Output = Result<Arc<Credentials>, Error>> + Send>>>;

impl Ec2RoleProvider {
    /// A provider for IMDS as it is on EC2, if the environment and the profile do not say otherwise.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Credentials that are good to use now: the ones held while they last, else new ones from
    /// IMDS.
    ///
    /// # Errors
    ///
    /// When there are none and IMDS gives none. Who asks again within a second is given the same
    /// error, without a request.
    pub async fn credentials(&self) -> Result<Arc<Credentials>, Error> {
        if let Some(held) = self.fresh() {
            return Ok(held);
        }
        match self.join_refresh() {
            Turn::Wait(refresh) => refresh.await,
            Turn::GoOn(held) => Ok(held),
        }
    }

    /// [`credentials`](Self::credentials) for programs without a runtime. From inside one it may be
    /// called too, and then blocks its thread. [`wait`](crate::wait) does the same for everything
    /// else.
    ///
    /// # Errors
    ///
    /// Those of [`credentials`](Self::credentials).
    pub fn credentials_blocking(&self) -> Result<Arc<Credentials>, Error> {
        match self.fresh() {
            Some(held) => Ok(held),
            None => crate::wait(self.credentials()),
        }
    }

    /// The credentials held, if they may be used without asking IMDS. Never waits.
    fn fresh(&self) -> Option<Arc<Credentials>> {
        let held = self.common.snapshot.load()?;
        held.are_fresh(self.common.clock.now()).then_some(held)
    }

    /// Waits for the refresh that is under way, or begins one; or does neither, if there are
    /// credentials to go on with and somebody else waits already.
    fn join_refresh(&self) -> Turn {
        let mut under_way = self.common.refresh();
        // Somebody else may have come first.
        if let Some(held) = self.fresh() {
            return Turn::GoOn(held);
        }
        match &*under_way {
            Some(refresh) => match self.usable() {
                Some(held) => Turn::GoOn(held),
                None => Turn::Wait(refresh.clone()),
            },
            None => Turn::Wait(under_way.insert(self.begin_refresh()).clone()),
        }
    }

    fn begin_refresh(&self) -> Refresh {
        let (reply, refresh) = refresh();
        self.calls.send(Call::Refresh(reply));
        refresh
    }

    /// The credentials held, if they are due but can be gone on with.
    fn usable(&self) -> Option<Arc<Credentials>> {
        let held = self.common.snapshot.load()?;
        let now = self.common.clock.now();
        (self.common.windowed && held.last_longer_than(MANDATORY_WINDOW, now)).then_some(held)
    }

    /// The credentials held if they have not ended, without waiting for anything: for those who
    /// cannot wait any longer.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn held(&self) -> Option<Arc<Credentials>> {
        let held = self.common.snapshot.load()?;
        held.last_longer_than(Duration::ZERO, self.common.clock.now())
            .then_some(held)
    }

    /// Credentials straight from IMDS, past the cache.
    ///
    /// # Errors
    ///
    /// When IMDS gives none.
    pub async fn retrieve(&self) -> Result<Arc<Credentials>, Error> {
        self.calls.call(Call::Retrieve).await
    }

    /// Forgets the credentials held. The next call asks IMDS, and fails if IMDS does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Component`](crate::ErrorKind::Component) when the component cannot be run.
    pub async fn invalidate(&self) -> Result<(), Error> {
        self.common.snapshot.store(None);
        self.calls.call(Call::Invalidate).await
    }

    /// Tells that AWS did not accept the credentials with this key id. If they are the ones held,
    /// the next call gets others; a key id that is no longer held changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Component`](crate::ErrorKind::Component) when the component cannot be run.
    pub async fn reject(&self, access_key_id: &str) -> Result<(), Error> {
        self.calls
            .call(|reply| Call::Reject(access_key_id.to_owned(), reply))
            .await
    }

    /// The IMDS client: anything in the metadata tree, with the same session token.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata::new(&self.calls)
    }

    /// What the provider has been doing, without any request and without waiting.
    pub fn status(&self) -> Status {
        self.common.status().clone()
    }

    /// The base URL of IMDS, from wherever it was set.
    pub fn endpoint(&self) -> &Endpoint {
        &self.common.endpoint
    }

    /// What changes from now on.
    pub fn subscribe(&self) -> Events {
        Events(self.common.events.subscribe())
    }

    /// The role that the profile wants to be assumed with these credentials, if it does.
    #[cfg(feature = "profile")]
    pub fn assume_role(&self) -> Option<&AssumeRole> {
        self.common.assume_role.as_ref()
    }
}

/// A refresh, and what completes it.
fn refresh() -> (Reply<Arc<Credentials>>, Refresh) {
    let (reply, receiver) = oneshot::channel();
    (reply, answer(receiver).boxed().shared())
}

/// What a caller does whose credentials are due.
enum Turn {
    Wait(Refresh),
    GoOn(Arc<Credentials>),
}

impl Common {
    fn refresh(&self) -> MutexGuard<'_, Option<Refresh>> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a refresh known that nobody asked for. `None`: somebody did, in this moment.
    fn announce_refresh(&self) -> Option<Reply<Arc<Credentials>>> {
        let mut under_way = self.refresh();
        if under_way.is_some() {
            return None;
        }
        let (reply, refresh) = refresh();
        *under_way = Some(refresh);
        Some(reply)
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

impl fmt::Debug for Ec2RoleProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2RoleProvider")
            .field("credentials", &self.common.snapshot.load())
            .finish_non_exhaustive()
    }
}
