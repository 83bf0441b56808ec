//! A client's machine: its clocks, which can be wrong, and its sleep, from which it can be late to wake.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ec2_role_component::ports;
use ec2_role_component::time::{Monotonic, UnixTime};

use super::timeline::Timeline;

/// A virtual machine. Clones are one machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    timeline: Timeline,
    /// What the wall clock shows at the beginning of time.
    epoch: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// So far the wall clock is ahead, or behind, in seconds.
    skew: i64,
    /// So long it was suspended so far. The monotonic clock stood meanwhile.
    suspended: Duration,
    wakes: Duration,
}

/// One look at both clocks.
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

    /// Sets the wall clock forward or back. It keeps that until it is set again.
    pub(super) fn shift(&self, seconds: i64) {
        self.state().skew += seconds;
    }

    /// Nothing runs on it for so long.
    pub(super) fn suspend(&self, time: Duration) {
        let now = self.timeline.now();
        let mut state = self.state();
        let wakes = state.wakes.max(now) + time;
        state.suspended += time;
        state.wakes = wakes;
    }

    /// When it wakes, or woke last.
    pub(super) fn woke(&self) -> Duration {
        self.state().wakes
    }

    /// Ends at once, but on a machine that is suspended.
    pub(super) async fn awake(&self) {
        loop {
            let wakes = self.state().wakes;
            if wakes <= self.timeline.now() {
                return;
            }
            self.timeline.sleep_until(wakes).await;
        }
    }

    /// Until the monotonic clock shows this.
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
