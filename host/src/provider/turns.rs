//! Calls to the owner of the instance, which come one at a time, in the order in which they begin.
//!
//! A call begins on the thread of its caller, and ends there unless it has to wait: for IMDS, or for
//! the call before it. If it has to, it becomes a task of the library's runtime, which completes it
//! even if the caller goes away.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot, watch};

use super::owner::Owner;
use crate::call::{Call, Callee};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::runtime;

pub(super) struct Turns {
    runtime: &'static Handle,
    owner: Arc<Mutex<Owner>>,
    /// Dropped with the last handle of the provider, which ends [`keep_time`].
    _last: oneshot::Sender<Infallible>,
}

/// A refresh that has to wait.
pub(super) type Waiting = Pin<Box<dyn Future<Output = Outcome> + Send>>;
type Outcome = Result<Arc<Credentials>, Error>;

impl Turns {
    /// Wakes `owner` from now on when `alarm` says so.
    pub(super) fn new(
        runtime: &'static Handle,
        owner: Owner,
        clock: Arc<dyn Clock>,
        alarm: watch::Receiver<Option<Duration>>,
    ) -> Self {
        let owner = Arc::new(Mutex::new(owner));
        let (_last, last) = oneshot::channel();
        runtime.spawn(keep_time(Arc::clone(&owner), clock, alarm, last));
        Self {
            runtime,
            owner,
            _last,
        }
    }

    /// Begins a refresh. If it has to wait, the caller must [`complete`](Self::complete) it.
    pub(super) fn refresh(&self) -> Result<Outcome, Waiting> {
        let owner = Arc::clone(&self.owner);
        let mut refresh: Waiting = Box::pin(async move {
            let mut owner = owner.lock().await;
            let outcome = owner.refresh().await;
            owner.set_alarm();
            outcome
        });
        match runtime::begin(self.runtime, refresh.as_mut()) {
            Poll::Ready(outcome) => Ok(outcome),
            Poll::Pending => Err(refresh),
        }
    }

    /// Completes what has to wait.
    pub(super) fn complete(&self, waiting: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(waiting);
    }
}

impl Callee for Turns {
    fn begin(&self, call: Call) {
        let owner = Arc::clone(&self.owner);
        let mut answer = Box::pin(async move {
            let mut owner = owner.lock().await;
            owner.answer(call).await;
            owner.set_alarm();
        });
        if runtime::begin(self.runtime, answer.as_mut()).is_pending() {
            self.complete(answer);
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

/// Wakes the owner when its credentials are due, until the last handle of the provider is dropped.
async fn keep_time(
    owner: Arc<Mutex<Owner>>,
    clock: Arc<dyn Clock>,
    mut alarm: watch::Receiver<Option<Duration>>,
    mut last: oneshot::Receiver<Infallible>,
) {
    loop {
        let next = *alarm.borrow_and_update();
        let due = async {
            match next {
                Some(at) => {
                    clock.sleep(at.saturating_sub(clock.monotonic())).await;
                    at
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = &mut last => return,
            _ = alarm.changed() => {}
            at = due => {
                let mut owner = owner.lock().await;
                owner.wake(at).await;
                owner.set_alarm();
            }
        }
    }
}
