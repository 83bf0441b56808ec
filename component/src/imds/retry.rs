//! Which exchanges are worth repeating, and after what pause (1.6, 1.7).
//!
//! | outcome | repeated | shortest pause before the first repetition |
//! | --- | --- | --- |
//! | no connection, a broken one, silence | yes | 250 ms |
//! | 500, 502, 504 | yes | 250 ms |
//! | 429, 503 | yes | 500 ms, and what `Retry-After` says |
//! | any other answer, an answer that is none | no | – |
//! | not let out by the host | no | – |

use core::time::Duration;

use crate::ports::{RETRY_AFTER_HEADER, Random, Response, TransportError};
use crate::time;

/// The pause before the first repetition is between half of this and this; then it doubles.
const PAUSE: Duration = Duration::from_millis(500);

/// The same when IMDS asked for fewer requests.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);

/// It does not double beyond this.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How long to wait before an exchange is repeated that had this outcome for the `attempts`-th
/// time; `None` if it is not to be repeated.
pub fn pause(
    outcome: &Result<Response, TransportError>,
    attempts: u32,
    random: &mut impl Random,
) -> Option<Duration> {
    let (first, asked) = match outcome {
        Ok(response) => match response.status {
            429 | 503 => (THROTTLED_PAUSE, retry_after(response)),
            500 | 502 | 504 => (PAUSE, None),
            _ => return None,
        },
        Err(TransportError::Unavailable(_) | TransportError::Timeout(_)) => (PAUSE, None),
        Err(TransportError::Denied | TransportError::TooLong(_) | TransportError::Malformed(_)) => {
            return None;
        }
    };
    let doublings = attempts.saturating_sub(1).min(8);
    let whole = first.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    // At least half, so that it is a pause; the rest at random, so that many clients do not come
    // back at once.
    let jittered = time::part(whole, 0.5 + random.unit() / 2.0);
    Some(jittered.max(asked.unwrap_or_default()))
}

/// Only whole seconds: IMDS has no reason to name a date.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u32 = response
        .header(RETRY_AFTER_HEADER)?
        .trim_ascii()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    struct Dice(f64);

    impl Random for Dice {
        fn unit(&mut self) -> f64 {
            self.0
        }
    }

    fn status(status: u16, retry_after: Option<&str>) -> Result<Response, TransportError> {
        Ok(Response {
            status,
            headers: retry_after
                .map(|value| vec![(RETRY_AFTER_HEADER, value.to_string())])
                .unwrap_or_default(),
            body: Vec::new(),
        })
    }

    fn milliseconds(
        outcome: &Result<Response, TransportError>,
        attempts: u32,
        dice: f64,
    ) -> Option<u128> {
        pause(outcome, attempts, &mut Dice(dice)).map(|pause| pause.as_millis())
    }

    #[test]
    fn pauses_double_and_are_jittered_by_half() {
        for (attempts, low, high) in [
            (1, 250, 499),
            (2, 500, 999),
            (3, 1000, 1999),
            (4, 2000, 3999),
            (9, 2000, 3999),
        ] {
            for outcome in [
                status(500, None),
                status(502, None),
                status(504, None),
                Err(TransportError::Timeout("x")),
            ] {
                assert_eq!(milliseconds(&outcome, attempts, 0.0), Some(low));
                assert_eq!(milliseconds(&outcome, attempts, 0.99999), Some(high));
            }
        }
    }

    #[test]
    fn throttling_waits_longer_and_as_long_as_it_is_told() {
        for code in [429, 503] {
            assert_eq!(milliseconds(&status(code, None), 1, 0.0), Some(500));
            assert_eq!(milliseconds(&status(code, Some("3")), 1, 0.0), Some(3000));
            assert_eq!(milliseconds(&status(code, Some("0")), 2, 0.0), Some(1000));
            for nonsense in ["soon", "-1", "1.5", "99999999999"] {
                assert_eq!(
                    milliseconds(&status(code, Some(nonsense)), 1, 0.0),
                    Some(500)
                );
            }
        }
    }

    #[test]
    fn what_will_not_get_better_is_not_repeated() {
        for code in [200, 204, 301, 400, 401, 403, 404, 405, 408, 501] {
            assert_eq!(milliseconds(&status(code, None), 1, 0.0), None, "{code}");
        }
        for error in [
            TransportError::Denied,
            TransportError::TooLong(1),
            TransportError::Malformed("x"),
        ] {
            assert_eq!(milliseconds(&Err(error), 1, 0.0), None);
        }
    }
}
