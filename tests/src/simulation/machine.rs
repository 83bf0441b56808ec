//! A client's machine: its clocks, which can be wrong, and its suspensions.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ec2_role_component::ports;
use ec2_role_component::time::{Monotonic, UnixTime};

use super::timeline::Timeline;

/// A virtual machine. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    timeline: Timeline,
    /// The wall clock at the start of the world.
    epoch: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// How many seconds the wall clock is ahead.
    skew: i64,
    /// How long the machine was suspended in total. Meanwhile the monotonic clock stood still.
    suspended: Duration,
    wakes: Duration,
}

/// A reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    /// Since 1970.
    pub(super) wall: Duration,
    pub(super) monotonic: Duration,
}

impl Machine {
    pub(super) fn new(timeline: Timeline, epoch: Duration) -> Self {
        Self {
            timeline,
            epoch,
            state: Arc::default(),
        }
    }

    pub(super) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub(super) fn now(&self) -> Moment {
        let state = self.state();
        let now = self.timeline.now();
        let wall = self.epoch + now;
        let skew = Duration::from_secs(state.skew.unsigned_abs());
        Moment {
            wall: match state.skew < 0 {
                true => wall.saturating_sub(skew),
                false => wall + skew,
            },
            monotonic: now.saturating_sub(state.suspended),
        }
    }

    /// Moves the wall clock forward or back.
    pub(super) fn shift(&self, seconds: i64) {
        self.state().skew += seconds;
    }

    /// Suspends the machine for this time.
    pub(super) fn suspend(&self, time: Duration) {
        let now = self.timeline.now();
        let mut state = self.state();
        let wakes = state.wakes.max(now) + time;
        state.suspended += time;
        state.wakes = wakes;
    }

    /// When the machine wakes or last woke.
    pub(super) fn woke(&self) -> Duration {
        self.state().wakes
    }

    /// Waits until the machine is not suspended.
    pub(super) async fn awake(&self) {
        loop {
            let wakes = self.state().wakes;
            if wakes <= self.timeline.now() {
                return;
            }
            self.timeline.sleep_until(wakes).await;
        }
    }

    /// Sleeps until the monotonic clock shows this time.
    pub(super) async fn sleep_until(&self, monotonic: Duration) {
        loop {
            self.awake().await;
            let left = monotonic.saturating_sub(self.now().monotonic);
            if left.is_zero() {
                return;
            }
            self.timeline.sleep(left).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ports::Clock for Machine {
    fn wall(&self) -> UnixTime {
        UnixTime::new(self.now().wall)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.now().monotonic)
    }

    async fn sleep(&self, time: Duration) {
        self.sleep_until(self.now().monotonic + time).await;
    }
}

impl ec2_role_host::Clock for Machine {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + self.now().wall
    }

    fn monotonic(&self) -> Duration {
        self.now().monotonic
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let machine = self.clone();
        let end = self.now().monotonic.saturating_add(duration);
        Box::pin(async move { machine.sleep_until(end).await })
    }
}
