//! Moments, on the two clocks that the logic looks at.

use core::time::Duration;

/// A moment on the wall clock: the time since 1970-01-01T00:00:00Z.
///
/// The wall clock can jump. It decides what other parties have dated: the end of credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// The last moment there is.
    pub const MAX: Self = Self(Duration::MAX);

    /// The moment so long after 1970-01-01T00:00:00Z.
    pub const fn new(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// The moment so many seconds after 1970-01-01T00:00:00Z.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// This moment without its fraction of a second.
    pub const fn floor(self) -> Self {
        Self::from_seconds(self.seconds())
    }

    /// The time from `earlier` to this moment; nothing if it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment so much later, or the last one there is.
    pub const fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// The moment so much earlier, or 1970-01-01T00:00:00Z.
    pub const fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

/// A moment on the monotonic clock, which has no known beginning and never jumps.
///
/// It decides how long something takes, and how old it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The moment so long after the clock's beginning.
    pub const fn new(since_beginning: Duration) -> Self {
        Self(since_beginning)
    }

    /// The time since the clock's beginning.
    pub const fn since_beginning(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this moment; nothing if it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment so much later, or the last one there is.
    pub const fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// A part of a length of time, rounded down: with a part below 1 it is never the whole.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "lengths of time are hours here, and far below 2^53 nanoseconds"
)]
pub(crate) fn part(whole: Duration, part: f64) -> Duration {
    Duration::from_nanos((whole.as_nanos() as f64 * part) as u64)
}
