//! The handle that programs hold.
//!
//! | held credentials | a caller gets |
//! | --- | --- |
//! | are not due | the held credentials from the [`Snapshot`], without a lock |
//! | are due, expire in more than a minute, and the policy is `Windowed` | the held credentials; the first caller waits for the refresh |
//! | are due otherwise, or there are none | the outcome of the refresh, the same for all callers |
//!
//! There is one refresh at a time, and it always completes. The [`Owner`] of the instance makes it.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use tokio::sync::{broadcast, oneshot};

use self::snapshot::Snapshot;
use self::turns::Turns;
use crate::call::{Call, Callee, Reply, stopped};
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
mod turns;

pub use self::builder::Builder;

/// The mandatory window: in the last minute before the expiration every caller waits for the
/// refresh `[B5.9]`.
const MANDATORY_WINDOW: Duration = Duration::from_secs(60);

/// A receiver loses the oldest events once this many are pending.
const EVENTS: usize = 64;

/// Provides the credentials of the instance's role, from a component in a sandbox. Clones share one
/// instance of the component.
///
/// Keep the provider rather than the credentials, and call it each time: a call is cheap and returns
/// credentials that are valid now. The futures need no runtime, and dropping one cancels nothing for
/// other callers.
#[derive(Clone)]
pub struct Ec2RoleProvider {
    common: Arc<Common>,
    turns: Arc<Turns>,
}

/// The state that the handles and the owner share.
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

/// A refresh in progress. All callers that wait for it get the same outcome.
type Refresh = Shared<Pin<Box<dyn Future<Output = Result<Arc<Credentials>, Error>> + Send>>>;

impl Ec2RoleProvider {
    /// Builds a provider. By default it uses IMDS as on EC2, unless the environment or the profile
    /// say otherwise.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Returns credentials that are valid now: the held credentials until they are due, else new ones
    /// from IMDS.
    ///
    /// # Errors
    ///
    /// If a refresh fails and there are no held credentials to extend. A call within the next second
    /// returns the same error without a request.
    pub async fn credentials(&self) -> Result<Arc<Credentials>, Error> {
        if let Some(held) = self.fresh() {
            return Ok(held);
        }
        match self.join_refresh() {
            Turn::Wait(refresh) => refresh.await,
            Turn::Done(outcome) => outcome,
        }
    }

    /// [`credentials`](Self::credentials) for programs without a runtime. Inside a runtime, it blocks
    /// one of the runtime's threads. [`wait`](crate::wait) does the same for any other call.
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

    /// The held credentials, if they are not due. Never waits.
    fn fresh(&self) -> Option<Arc<Credentials>> {
        let held = self.common.snapshot.load()?;
        held.are_fresh(self.common.clock.now()).then_some(held)
    }

    /// Waits for the refresh in progress, or begins one. Does neither if the held credentials can still
    /// be used and another caller waits already.
    fn join_refresh(&self) -> Turn {
        // Held while a refresh begins, which is long enough for a component that answers from its cache
        // to be done. Other callers need not be woken then.
        let mut under_way = self.common.refresh();
        // Another caller may have completed a refresh in the meantime.
        if let Some(held) = self.fresh() {
            return Turn::Done(Ok(held));
        }
        match &*under_way {
            Some(refresh) => match self.usable() {
                Some(held) => Turn::Done(Ok(held)),
                None => Turn::Wait(refresh.clone()),
            },
            None => match self.turns.refresh() {
                Ok(outcome) => Turn::Done(outcome),
                Err(waiting) => {
                    let (reply, refresh) = refresh();
                    let common = Arc::clone(&self.common);
                    self.turns.complete(async move {
                        let outcome = waiting.await;
                        common.complete_refresh(reply, outcome);
                    });
                    Turn::Wait(under_way.insert(refresh).clone())
                }
            },
        }
    }

    /// The held credentials, if they are due but may still be handed out.
    fn usable(&self) -> Option<Arc<Credentials>> {
        let held = self.common.snapshot.load()?;
        let now = self.common.clock.now();
        (self.common.windowed && held.last_longer_than(MANDATORY_WINDOW, now)).then_some(held)
    }

    /// The held credentials, for callers that cannot wait longer for
    /// [`credentials`](Self::credentials). They may be due, and they may have expired. Never waits.
    pub fn held(&self) -> Option<Arc<Credentials>> {
        self.common.snapshot.load()
    }

    /// The held credentials unless they have expired.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn valid(&self) -> Option<Arc<Credentials>> {
        self.held()
            .filter(|held| held.last_longer_than(Duration::ZERO, self.common.clock.now()))
    }

    /// Gets credentials from IMDS, bypassing the cache.
    ///
    /// # Errors
    ///
    /// If IMDS returns none.
    pub async fn retrieve(&self) -> Result<Arc<Credentials>, Error> {
        self.callee().call(Call::Retrieve).await
    }

    /// Drops the held credentials. The next call sends requests to IMDS, and fails if they fail.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Component`](crate::ErrorKind::Component) if the component cannot be run.
    pub async fn invalidate(&self) -> Result<(), Error> {
        self.common.snapshot.store(None);
        self.callee().call(Call::Invalidate).await
    }

    /// Reports that AWS did not accept the credentials with this access key ID. If they are the held
    /// credentials, the next call refreshes them; any other access key ID changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Component`](crate::ErrorKind::Component) if the component cannot be run.
    pub async fn reject(&self, access_key_id: &str) -> Result<(), Error> {
        self.callee()
            .call(|reply| Call::Reject(access_key_id.to_owned(), reply))
            .await
    }

    /// The IMDS client, which reads any path of the metadata tree with the same session token.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata::new(self.callee())
    }

    fn callee(&self) -> &dyn Callee {
        &*self.turns
    }

    /// The state of the provider. No request is sent, and the call never waits.
    pub fn status(&self) -> Status {
        self.common.status().clone()
    }

    /// The base URL of IMDS in effect.
    pub fn endpoint(&self) -> &Endpoint {
        &self.common.endpoint
    }

    /// Subscribes to the events of the provider from now on.
    pub fn subscribe(&self) -> Events {
        Events(self.common.events.subscribe())
    }

    /// The role that the profile says to assume with these credentials. `None` if it names none.
    #[cfg(feature = "profile")]
    pub fn assume_role(&self) -> Option<&AssumeRole> {
        self.common.assume_role.as_ref()
    }
}

/// A refresh, and the sender that completes it.
fn refresh() -> (Reply<Arc<Credentials>>, Refresh) {
    let (reply, receiver) = oneshot::channel();
    let outcome = async { receiver.await.map_err(|_| stopped())? };
    (reply, outcome.boxed().shared())
}

/// What a caller does if the held credentials are due.
enum Turn {
    Wait(Refresh),
    Done(Result<Arc<Credentials>, Error>),
}

impl Common {
    fn refresh(&self) -> MutexGuard<'_, Option<Refresh>> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a refresh in the background, so that callers wait for it. `None` if a caller has
    /// begun one at the same time.
    fn announce_refresh(&self) -> Option<Reply<Arc<Credentials>>> {
        let mut under_way = self.refresh();
        if under_way.is_some() {
            return None;
        }
        let (reply, refresh) = refresh();
        *under_way = Some(refresh);
        Some(reply)
    }

    /// Gives the outcome of a refresh to those who wait. A caller from now on begins a new refresh or
    /// reads the snapshot.
    fn complete_refresh(
        &self,
        reply: Reply<Arc<Credentials>>,
        outcome: Result<Arc<Credentials>, Error>,
    ) {
        self.refresh().take();
        let _ = reply.send(outcome);
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
