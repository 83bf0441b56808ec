//! The policy `windowed`: the refresh behaviour that the AWS SDKs have agreed on (5.9).
//!
//! Credentials are due in an advisory window before their end. When a refresh fails they are handed
//! out unchanged, even after their end, and the next attempt is five to ten minutes later. Their
//! end is never changed.
//!
//! The mandatory window, in which everyone waits for the refresh instead of one, is for those who
//! share an instance: here calls come one at a time. A host lets others go on with what they have
//! until one minute before the end.

use core::time::Duration;

use super::{Kept, Settings};
use crate::credentials::Credentials;
use crate::ports::Random;
use crate::time::{self, UnixTime};

/// After a failure the next attempt comes after this, and less than as much again.
const PAUSE: Duration = Duration::from_secs(300);

pub(super) fn accept(
    settings: &Settings,
    credentials: Credentials,
    now: UnixTime,
    random: &mut impl Random,
) -> Kept {
    let due = credentials.expires.map_or(UnixTime::MAX, |expires| {
        let lifetime = expires.since(now);
        let window = match settings.window {
            Some(window) => settings.jittered(window, random),
            None => advisory_window(lifetime),
        };
        // A window longer than the life would make every call a refresh (5.5).
        let window = if window < lifetime {
            window
        } else {
            lifetime / 2
        };
        #[cfg(feature = "planted-faults")]
        if crate::planted::is(crate::planted::Planted::WindowTheWrongWay) {
            return expires.saturating_add(window);
        }
        expires.saturating_sub(window)
    });
    Kept { credentials, due }
}

pub(super) fn go_on(previous: Credentials, now: UnixTime, random: &mut impl Random) -> Kept {
    let pause = PAUSE + Duration::from_secs(time::part(PAUSE, random.unit()).as_secs());
    Kept {
        credentials: previous,
        due: now.saturating_add(pause),
    }
}

/// The window for credentials of this life.
fn advisory_window(lifetime: Duration) -> Duration {
    const MINUTE: u64 = 60;
    Duration::from_secs(match lifetime.as_secs() {
        // Up to twenty minutes and not a moment longer.
        0..=1199 => 5 * MINUTE,
        1200 if lifetime.subsec_nanos() == 0 => 5 * MINUTE,
        1200..=5399 => 15 * MINUTE,
        5400.. => 60 * MINUTE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_from_the_life() {
        for (lifetime, minutes) in [
            (Duration::ZERO, 5),
            (Duration::from_secs(1200), 5),
            (Duration::from_millis(1_200_001), 15),
            (Duration::from_secs(5399), 15),
            (Duration::from_secs(5400), 60),
            (Duration::MAX, 60),
        ] {
            assert_eq!(
                advisory_window(lifetime).as_secs(),
                minutes * 60,
                "{lifetime:?}"
            );
        }
    }
}
