//! Which requests are retried, and after what back-off `[B1.6]`, `[B1.7]`.
//!
//! | outcome | retried | shortest back-off before the first retry |
//! | --- | --- | --- |
//! | the connection failed or broke, no response in time | yes | 250 ms |
//! | status 500, 502, 504 | yes | 250 ms |
//! | status 429, 503 | yes | 500 ms, or the value of `Retry-After` if that is longer |
//! | any other status, a malformed or oversized response | no | – |
//! | the host does not allow the request, or cannot send it | no | – |

use core::time::Duration;

use crate::ports::{RETRY_AFTER_HEADER, Random, Response, TransportError};
use crate::time;

/// The longest back-off before the first retry. It doubles with every further retry; jitter takes
/// away up to half of it.
const BACK_OFF: Duration = Duration::from_millis(500);

/// The longest back-off before the first retry if IMDS asked for fewer requests.
const THROTTLED_BACK_OFF: Duration = Duration::from_secs(1);

/// The limit of the doubling.
const MAX_BACK_OFF: Duration = Duration::from_secs(4);

/// How long to wait before the next attempt, after `attempts` attempts of which the last had this
/// outcome; `None` if the request is not retried.
pub fn back_off(
    outcome: &Result<Response, TransportError>,
    attempts: u32,
    random: &mut impl Random,
) -> Option<Duration> {
    let (first, requested) = match outcome {
        Ok(response) => match response.status {
            429 | 503 => (THROTTLED_BACK_OFF, retry_after(response)),
            500 | 502 | 504 => (BACK_OFF, None),
            _ => return None,
        },
        Err(TransportError::Unavailable(_) | TransportError::Timeout(_)) => (BACK_OFF, None),
        Err(
            TransportError::Denied(_) | TransportError::TooLong(_) | TransportError::Malformed(_),
        ) => return None,
    };
    let doublings = attempts.saturating_sub(1).min(8);
    let whole = first.saturating_mul(1 << doublings).min(MAX_BACK_OFF);
    // At least half, so that IMDS can recover; the rest is random, so that many clients do not
    // return at the same time.
    let jittered = time::part(whole, 0.5 + random.unit() / 2.0);
    Some(jittered.max(requested.unwrap_or_default()))
}

/// The value of `Retry-After` in seconds. A date is ignored: IMDS has no reason to send one.
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
        back_off(outcome, attempts, &mut Dice(dice)).map(|time| time.as_millis())
    }

    #[test]
    fn back_off_doubles_and_is_jittered_by_half() {
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
    fn throttling_waits_longer_and_as_long_as_retry_after_says() {
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
    fn permanent_failures_are_not_retried() {
        for code in [200, 204, 301, 400, 401, 403, 404, 405, 408, 501] {
            assert_eq!(milliseconds(&status(code, None), 1, 0.0), None, "{code}");
        }
        for error in [
            TransportError::Denied("x"),
            TransportError::TooLong(1),
            TransportError::Malformed("x"),
        ] {
            assert_eq!(milliseconds(&Err(error), 1, 0.0), None);
        }
    }
}
