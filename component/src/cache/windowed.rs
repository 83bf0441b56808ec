//! The policy `windowed`: the refresh behaviour that the AWS SDKs agreed on `[B5.9]`.
//!
//! Credentials are due in an advisory window before they expire. If a refresh fails, they are handed
//! out unchanged, even past their expiration, and the next attempt comes 5 to 10 minutes later. Their
//! expiration is never changed.
//!
//! The mandatory window, in which all callers wait for the refresh, concerns callers that share an
//! instance. Here calls come one at a time, so the host implements it: until one minute before the
//! expiration, it lets all callers but one use the held credentials.

use core::time::Duration;

use super::{Decision, Settings};
use crate::credentials::Credentials;
use crate::ports::Random;
use crate::time::{self, UnixTime};

/// The shortest back-off after a failed refresh. The random part is less than as much again.
const BACK_OFF: Duration = Duration::from_secs(300);

pub(super) fn accept(
    settings: &Settings,
    credentials: Credentials,
    now: UnixTime,
    random: &mut impl Random,
) -> Decision {
    let due = credentials.expires.map_or(UnixTime::MAX, |expires| {
        let lifetime = expires.since(now);
        let window = match settings.window {
            Some(window) => settings.jittered(window, random),
            None => advisory_window(lifetime),
        };
        // A window as long as the lifetime would make every call a refresh [B5.9].
        let window = if window < lifetime {
            window
        } else {
            lifetime / 2
        };
        #[cfg(feature = "planted-faults")]
        if crate::planted::is_active(crate::planted::Planted::WindowTheWrongWay) {
            return expires.saturating_add(window);
        }
        expires.saturating_sub(window)
    });
    Decision { credentials, due }
}

pub(super) fn extend(previous: Credentials, now: UnixTime, random: &mut impl Random) -> Decision {
    let jitter = Duration::from_secs(time::part(BACK_OFF, random.unit()).as_secs());
    Decision {
        credentials: previous,
        due: now.saturating_add(BACK_OFF + jitter),
    }
}

/// The default window for credentials with this lifetime.
fn advisory_window(lifetime: Duration) -> Duration {
    const MINUTE: u64 = 60;
    Duration::from_secs(match lifetime.as_secs() {
        // Up to and including exactly 20 minutes.
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
    fn the_window_depends_on_the_lifetime() {
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
