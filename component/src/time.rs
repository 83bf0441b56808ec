//! Points in time on the wall clock and on the monotonic clock.

use core::time::Duration;

/// A time of the wall clock, counted from 1970-01-01T00:00:00Z.
///
/// The wall clock can jump. It decides whether credentials have expired, because AWS dates their
/// expiration by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// The latest time that can be represented.
    pub const MAX: Self = Self(Duration::MAX);

    /// The time at this distance from 1970-01-01T00:00:00Z.
    pub const fn new(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// The time this many seconds after 1970-01-01T00:00:00Z.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// This time, rounded down to whole seconds.
    pub const fn floor(self) -> Self {
        Self::from_seconds(self.seconds())
    }

    /// The duration since `earlier`; zero if `earlier` is later than this time.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This time plus `by`, or the latest time that can be represented.
    pub const fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// This time minus `by`, or 1970-01-01T00:00:00Z if that is later.
    pub const fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

/// A time of the monotonic clock, which starts at an unspecified time and never jumps.
///
/// It measures how long something takes, and how old something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The time at this distance from the start of the clock.
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The duration since the start of the clock.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The duration since `earlier`; zero if `earlier` is later than this time.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This time plus `by`, or the latest time that can be represented.
    pub const fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// The fraction `part` of `whole`, rounded down, so that a fraction below 1 never yields `whole`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "durations are hours here, far below 2^53 nanoseconds"
)]
pub(crate) fn part(whole: Duration, part: f64) -> Duration {
    Duration::from_nanos((whole.as_nanos() as f64 * part) as u64)
}
