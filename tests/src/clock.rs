//! One clock for the emulator and its clients.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use ec2_role_host::Clock;

/// A clock of the emulator that is also a clock for the host: a move affects both.
///
/// The monotonic clock follows: skipped time has passed, as for a virtual machine that was suspended. It does not go
/// back with the wall clock.
///
/// ```
/// use chrono::TimeDelta;
/// use ec2_role_host::Clock as _;
/// use imds_conformance::clock::Shared;
///
/// let clock = Shared::standing("2026-01-01T00:00:00Z".parse()?);
/// let before = clock.monotonic();
/// clock.advance(TimeDelta::hours(6))?;
/// assert_eq!(clock.monotonic() - before, std::time::Duration::from_secs(6 * 3600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Shared {
    clock: imds_emulator::Clock,
    /// How far the wall clock has been set back.
    lag: Arc<Mutex<TimeDelta>>,
}

/// How often a sleeper checks whether the clock was moved.
const STEP: Duration = Duration::from_millis(2);

impl Shared {
    /// A clock that stands still until it is moved.
    pub fn standing(now: DateTime<Utc>) -> Self {
        Self::new(imds_emulator::Clock::manual(now))
    }

    /// A clock that runs like the clock of this machine, and can be moved.
    pub fn running() -> Self {
        Self::new(imds_emulator::Clock::adjustable())
    }

    fn new(clock: imds_emulator::Clock) -> Self {
        Self {
            clock,
            lag: Arc::default(),
        }
    }

    /// The clock for the emulator.
    pub fn emulator(&self) -> imds_emulator::Clock {
        self.clock.clone()
    }

    /// Advances the clock. A negative time sets back only the wall clock.
    ///
    /// # Errors
    ///
    /// Never, for the clocks of this module.
    pub fn advance(&self, by: TimeDelta) -> Result<(), imds_emulator::NotManual> {
        let mut lag = self.lag();
        if by < TimeDelta::zero() {
            *lag -= by;
        }
        self.clock.advance(by)
    }

    fn lag(&self) -> MutexGuard<'_, TimeDelta> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for Shared {
    fn now(&self) -> SystemTime {
        self.clock.now().into()
    }

    fn monotonic(&self) -> Duration {
        let lag = self.lag();
        let since = self.clock.now() + *lag - DateTime::UNIX_EPOCH;
        since.to_std().unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        let end = clock.monotonic().saturating_add(duration);
        Box::pin(async move {
            loop {
                let left = end.saturating_sub(clock.monotonic());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(STEP)).await;
            }
        })
    }
}
