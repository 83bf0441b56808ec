//! The clock that everything in the emulator is dated and timed by.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Real time, or a time that stands still until it is moved by hand. Clones are one clock.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Real,
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The machine's clock.
    pub const fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stands at `now`.
    pub fn manual(now: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(now))))
    }

    /// The moment.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::Real => Utc::now(),
            Source::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock forward, at most to the end of time.
    ///
    /// # Errors
    ///
    /// [`NotManual`] if this is the machine's clock.
    ///
    /// ```
    /// use chrono::TimeDelta;
    /// use imds_emulator::Clock;
    ///
    /// let clock = Clock::manual(chrono::DateTime::UNIX_EPOCH);
    /// clock.advance(TimeDelta::hours(6))?;
    /// assert_eq!(clock.now().timestamp(), 21_600);
    /// assert!(Clock::real().advance(TimeDelta::hours(6)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advance(&self, by: TimeDelta) -> Result<(), NotManual> {
        match &self.0 {
            Source::Real => Err(NotManual),
            Source::Manual(now) => {
                let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
                *now = now
                    .checked_add_signed(by)
                    .unwrap_or(DateTime::<Utc>::MAX_UTC);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Real => f.write_str("Clock::real()"),
            Source::Manual(_) => write!(f, "Clock::manual({})", self.now()),
        }
    }
}

/// Only a manual clock can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotManual;

impl fmt::Display for NotManual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the machine's clock cannot be moved; start the emulator with a manual clock")
    }
}

impl std::error::Error for NotManual {}
