//! The clock of the emulator.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// The machine's clock, or one that a test moves. Clones share one clock.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Real,
    ByHand(Arc<Mutex<Time>>),
}

#[derive(Clone, Copy)]
enum Time {
    Standing(DateTime<Utc>),
    /// Runs at this offset from the machine's clock.
    Running(TimeDelta),
}

impl Time {
    fn now(self) -> DateTime<Utc> {
        match self {
            Self::Standing(now) => now,
            Self::Running(ahead) => shifted(Utc::now(), ahead),
        }
    }

    fn running_at(now: DateTime<Utc>) -> Self {
        Self::Running(now.signed_duration_since(Utc::now()))
    }
}

fn shifted(now: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    let end = match by < TimeDelta::zero() {
        true => DateTime::<Utc>::MIN_UTC,
        false => DateTime::<Utc>::MAX_UTC,
    };
    now.checked_add_signed(by).unwrap_or(end)
}

impl Clock {
    /// The machine's clock. It cannot be moved.
    pub const fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stands still at `now` until it is moved.
    pub fn manual(now: DateTime<Utc>) -> Self {
        Self::by_hand(Time::Standing(now))
    }

    /// A clock that runs like the machine's clock, and can be moved and stopped.
    pub fn adjustable() -> Self {
        Self::by_hand(Time::Running(TimeDelta::zero()))
    }

    fn by_hand(time: Time) -> Self {
        Self(Source::ByHand(Arc::new(Mutex::new(time))))
    }

    /// The current date and time.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::Real => Utc::now(),
            Source::ByHand(time) => time.lock().unwrap_or_else(PoisonError::into_inner).now(),
        }
    }

    /// Whether the clock is running.
    pub fn is_running(&self) -> bool {
        match &self.0 {
            Source::Real => true,
            Source::ByHand(time) => matches!(
                *time.lock().unwrap_or_else(PoisonError::into_inner),
                Time::Running(_)
            ),
        }
    }

    /// Moves the clock forward or back, at most to the last or first representable date. A running
    /// clock goes on from there.
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
        self.turn(|time| match time {
            Time::Standing(now) => Time::Standing(shifted(now, by)),
            Time::Running(_) => Time::running_at(shifted(time.now(), by)),
        })
    }

    /// Sets the clock. A running clock goes on from there.
    ///
    /// # Errors
    ///
    /// [`NotManual`] if this is the machine's clock.
    pub fn set(&self, to: DateTime<Utc>) -> Result<(), NotManual> {
        self.turn(|time| match time {
            Time::Standing(_) => Time::Standing(to),
            Time::Running(_) => Time::running_at(to),
        })
    }

    /// Stops the clock.
    ///
    /// # Errors
    ///
    /// [`NotManual`] if this is the machine's clock.
    ///
    /// ```
    /// use imds_emulator::Clock;
    ///
    /// let clock = Clock::adjustable();
    /// clock.freeze()?;
    /// assert_eq!(clock.now(), clock.now());
    /// clock.run()?;
    /// assert!(clock.is_running());
    /// # Ok::<(), imds_emulator::NotManual>(())
    /// ```
    pub fn freeze(&self) -> Result<(), NotManual> {
        self.turn(|time| Time::Standing(time.now()))
    }

    /// Starts the clock from where it stands.
    ///
    /// # Errors
    ///
    /// [`NotManual`] if this is the machine's clock.
    pub fn run(&self) -> Result<(), NotManual> {
        self.turn(|time| Time::running_at(time.now()))
    }

    fn turn(&self, turn: impl FnOnce(Time) -> Time) -> Result<(), NotManual> {
        match &self.0 {
            Source::Real => Err(NotManual),
            Source::ByHand(time) => {
                let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
                *time = turn(*time);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Real => f.write_str("Clock::real()"),
            Source::ByHand(_) if self.is_running() => f.write_str("Clock::adjustable()"),
            Source::ByHand(_) => write!(f, "Clock::manual({})", self.now()),
        }
    }
}

/// The machine's clock cannot be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotManual;

impl fmt::Display for NotManual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the machine's clock cannot be moved; start the emulator with a manual or an adjustable clock")
    }
}

impl std::error::Error for NotManual {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// How far the clock is ahead of the machine's clock, in whole seconds.
    fn ahead(clock: &Clock) -> i64 {
        let ahead = clock.now().signed_duration_since(Utc::now());
        (ahead.num_milliseconds() + 500).div_euclid(1000)
    }

    #[test]
    fn a_clock_by_hand_stands_until_it_is_moved() {
        let clock = Clock::manual(at(1_000));
        let same = clock.clone();
        assert!(!clock.is_running());
        assert_eq!(clock.now(), at(1_000));
        clock.advance(TimeDelta::seconds(5)).unwrap();
        assert_eq!(same.now(), at(1_005), "clones are one clock");
        clock.advance(TimeDelta::seconds(-10)).unwrap();
        assert_eq!(clock.now(), at(995));
        clock.set(at(7)).unwrap();
        assert_eq!(clock.now(), at(7));
        clock.freeze().unwrap();
        assert_eq!((clock.now(), clock.is_running()), (at(7), false));
    }

    #[test]
    fn it_goes_no_further_than_time_itself() {
        let clock = Clock::manual(at(0));
        clock.advance(TimeDelta::MAX).unwrap();
        clock.advance(TimeDelta::MAX).unwrap();
        assert_eq!(clock.now(), DateTime::<Utc>::MAX_UTC);
        clock.set(at(0)).unwrap();
        clock.advance(TimeDelta::MIN).unwrap();
        assert_eq!(clock.now(), DateTime::<Utc>::MIN_UTC);
    }

    #[test]
    fn a_running_clock_runs_on_from_where_it_was_put() {
        let clock = Clock::adjustable();
        assert!(clock.is_running());
        assert_eq!(ahead(&clock), 0);
        clock.advance(TimeDelta::hours(1)).unwrap();
        assert_eq!(ahead(&clock), 3600);
        clock.advance(TimeDelta::hours(1)).unwrap();
        assert_eq!(ahead(&clock), 7200);
        clock.set(Utc::now() - TimeDelta::hours(1)).unwrap();
        assert_eq!(ahead(&clock), -3600);
        assert!(clock.is_running());
        clock.freeze().unwrap();
        assert!(!clock.is_running());
        let stopped = clock.now();
        assert_eq!(clock.now(), stopped);
        clock.set(Utc::now() + TimeDelta::hours(3)).unwrap();
        clock.run().unwrap();
        assert!(clock.is_running());
        assert_eq!(ahead(&clock), 10_800);
    }

    #[test]
    fn the_machines_clock_cannot_be_moved() {
        let clock = Clock::real();
        assert!(clock.is_running());
        assert_eq!(ahead(&clock), 0);
        assert_eq!(clock.advance(TimeDelta::zero()), Err(NotManual));
        assert_eq!(clock.set(at(0)), Err(NotManual));
        assert_eq!(clock.freeze(), Err(NotManual));
        assert_eq!(clock.run(), Err(NotManual));
        let words = NotManual.to_string();
        assert!(
            words.starts_with("the machine's clock cannot be moved"),
            "{words}"
        );
    }

    #[test]
    fn it_says_which_clock_it_is() {
        let written = |clock: Clock| format!("{clock:?}");
        assert_eq!(written(Clock::real()), "Clock::real()");
        assert_eq!(written(Clock::adjustable()), "Clock::adjustable()");
        assert_eq!(
            written(Clock::manual(at(0))),
            "Clock::manual(1970-01-01 00:00:00 UTC)"
        );
    }
}
