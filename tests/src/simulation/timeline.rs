//! Virtual time: it stands still while a task can run, and then jumps to the next moment at which a task wakes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The time since a simulation began. Clones share it.
///
/// ```
/// use std::time::Duration;
/// use imds_conformance::simulation::Timeline;
///
/// let time = Timeline::default();
/// let hour = time.sleep(Duration::from_secs(3600));
/// assert!(!time.step(), "no task sleeps yet");
/// # let mut pool = futures_executor::LocalPool::new();
/// # let woken = std::rc::Rc::new(std::cell::Cell::new(false));
/// # let told = woken.clone();
/// # use futures_util::task::LocalSpawnExt as _;
/// # pool.spawner().spawn_local(async move { hour.await; told.set(true) }).unwrap();
/// # pool.run_until_stalled();
/// assert!(time.step());
/// assert_eq!(time.now(), Duration::from_secs(3600));
/// # pool.run_until_stalled();
/// # assert!(woken.get());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Timeline(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Duration,
    /// The number of sleepers so far: of two that wake at the same moment, the first to sleep wakes first.
    number: u64,
    sleepers: BTreeMap<(Duration, u64), Waker>,
}

impl Timeline {
    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.state().now
    }

    /// Sleeps until a moment.
    pub fn sleep_until(&self, at: Duration) -> Sleep {
        Sleep {
            timeline: self.clone(),
            at,
            number: None,
        }
    }

    /// Sleeps for a time.
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(time))
    }

    /// Jumps to the next moment at which a task wakes, and wakes it. Returns `false` if no task sleeps.
    pub fn step(&self) -> bool {
        let mut state = self.state();
        let Some(((at, _), waker)) = state.sleepers.pop_first() else {
            return false;
        };
        state.now = state.now.max(at);
        drop(state);
        waker.wake();
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of [`Timeline::sleep`].
#[derive(Debug)]
pub struct Sleep {
    timeline: Timeline,
    at: Duration,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let timeline = self.timeline.clone();
        let mut state = timeline.state();
        if at <= state.now {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            state.number += 1;
            state.number
        });
        state.sleepers.insert((at, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.timeline.state().sleepers.remove(&(self.at, number));
        }
    }
}
