//! The IMDSv2 session: whether requests carry a token, and when that changes.
//!
//! | state | event | next |
//! | --- | --- | --- |
//! | none | IMDS issues a token | held |
//! | none | IMDS issues no token, and the policy allows IMDSv1 ([`fallback`]) | without |
//! | held | the token is due for renewal `[B2.4]` | none |
//! | held | IMDS answers 401 to the token `[B2.5]` | none |
//! | without | IMDS answers 401 `[B2.8]` | none |
//! | without | the requested lifetime of a token has passed `[B2.8]` | none |

use alloc::string::String;
use core::time::Duration;

use crate::error::Failure;
use crate::ports::{Response, TTL_HEADER, TransportError};
use crate::secret::Secret;
use crate::time::{Monotonic, UnixTime};

/// The size limit of a token, in bytes. Tokens from IMDS have 56.
pub const TOKEN_LIMIT: usize = 4096;

/// How long before its expiration a token is renewed `[B2.4]`.
const RENEWAL_MARGIN: Duration = Duration::from_secs(120);

/// The session of one client.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
    fallback: Option<(UnixTime, Failure)>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    Held(Token),
    Without {
        until: Monotonic,
    },
}

/// A token and its lifetime.
#[derive(Clone, Debug)]
pub struct Token {
    value: Secret,
    renew: Monotonic,
    received: UnixTime,
    expires: UnixTime,
}

/// How the next request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// IMDSv2: with this token.
    Token(Secret),
    /// IMDSv1: without a token.
    None,
}

impl Session {
    /// How to send a request now; `None` if a token must be requested first.
    pub fn authorization(&self, now: Monotonic) -> Option<Authorization> {
        match &self.state {
            State::Held(token) if now < token.renew => {
                Some(Authorization::Token(token.value.clone()))
            }
            State::Without { until } if now < *until => Some(Authorization::None),
            State::None | State::Held(_) | State::Without { .. } => None,
        }
    }

    /// The held token, even if it is due for renewal.
    pub fn held(&self) -> Option<&Token> {
        match &self.state {
            State::Held(token) => Some(token),
            State::None | State::Without { .. } => None,
        }
    }

    /// When and why requests last fell back to IMDSv1; `None` once a token is held.
    pub fn fallback(&self) -> Option<&(UnixTime, Failure)> {
        self.fallback.as_ref()
    }

    /// Holds the token in `response`, the response to a request for a token with the lifetime
    /// `requested` `[B2.2]`, `[B2.3]`. `sent` and `wall` are the time of the request, so the round trip
    /// counts towards the age of the token.
    ///
    /// # Errors
    ///
    /// What is wrong with the response.
    pub fn accept(
        &mut self,
        response: &Response,
        requested: Duration,
        sent: Monotonic,
        wall: UnixTime,
    ) -> Result<Secret, &'static str> {
        let text =
            core::str::from_utf8(&response.body).map_err(|_| "the token is not UTF-8 text")?;
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err("the token is empty");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token contains characters that are not allowed in a header");
        }
        let lifetime = match response.header(TTL_HEADER) {
            Some(header) => {
                seconds(header).ok_or("the TTL header of the token is not a number of seconds")?
            }
            None => requested,
        };
        let value = Secret::new(String::from(text));
        self.state = State::Held(Token {
            value: value.clone(),
            renew: renewal(sent, lifetime),
            received: wall,
            expires: wall.saturating_add(lifetime),
        });
        self.fallback = None;
        Ok(value)
    }

    /// Shortens the lifetime of `token` to the remaining lifetime that IMDS states in a response to
    /// it `[B2.4]`. This corrects a monotonic clock that stopped while the machine slept.
    pub fn correct(&mut self, token: &Secret, response: &Response, now: Monotonic, wall: UnixTime) {
        let left = response.header(TTL_HEADER).and_then(seconds);
        if let (State::Held(held), Some(left)) = (&mut self.state, left)
            && held.value == *token
        {
            // Only ever shorter: our count began before that of IMDS.
            held.renew = held.renew.min(renewal(now, left));
            held.expires = held.expires.min(wall.saturating_add(left));
        }
    }

    /// Handles a 401 to a request with `sent`: drops the held token if that was sent, and ends the
    /// fallback if none was `[B2.5]`, `[B2.8]`.
    pub fn reject(&mut self, sent: &Authorization) {
        let rejected = match (&self.state, sent) {
            (State::Held(held), Authorization::Token(sent)) => held.value == *sent,
            (State::Without { .. }, Authorization::None) => true,
            _ => false,
        };
        if rejected {
            self.state = State::None;
        }
    }

    /// Falls back to IMDSv1 because of `cause` `[B2.7]`: until `until`, or for one request only if that
    /// is `None`.
    pub fn fall_back(&mut self, until: Option<Monotonic>, wall: UnixTime, cause: Failure) {
        self.state = match until {
            Some(until) => State::Without { until },
            None => State::None,
        };
        self.fallback = Some((wall, cause));
    }
}

impl Token {
    /// When the token was received, on the wall clock at that time.
    pub fn received(&self) -> UnixTime {
        self.received
    }

    /// When the token expires, on the wall clock at the time it was received.
    pub fn expires(&self) -> UnixTime {
        self.expires
    }
}

/// When to send requests without a session token (IMDSv1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Imdsv1Policy {
    /// Never.
    #[default]
    Never,
    /// After 403, 404 or 405 on the token path.
    OnRefusal,
    /// After any failure to get a token except 400.
    OnAnyFailure,
}

/// The consequence of a failure to get a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The look-up fails.
    Fail,
    /// This request is sent without a token.
    Once,
    /// This request and later requests are sent without a token.
    Stay,
}

/// Whether a failure to get a token leads to a fallback to IMDSv1 `[B2.7]`. `timed_out`: the time limit
/// of the look-up has passed, which says nothing about IMDS.
///
/// | | `never` | `on-refusal` | `on-any-failure` |
/// | --- | --- | --- | --- |
/// | status 400 | fail | fail | fail |
/// | status 403, 404, 405 | fail | stay | stay |
/// | the connection failed or broke, no response in time | fail | fail | stay |
/// | any other status, or no valid token in the response | fail | fail | once |
/// | the time limit of the look-up has passed, or the host does not send the request | fail | fail | fail |
pub fn fallback(
    policy: Imdsv1Policy,
    outcome: &Result<Response, TransportError>,
    timed_out: bool,
) -> Fallback {
    let refused = matches!(outcome, Ok(response) if matches!(response.status, 403..=405));
    match policy {
        Imdsv1Policy::Never => Fallback::Fail,
        Imdsv1Policy::OnRefusal if refused => Fallback::Stay,
        Imdsv1Policy::OnRefusal => Fallback::Fail,
        Imdsv1Policy::OnAnyFailure => match outcome {
            _ if timed_out => Fallback::Fail,
            Ok(response) if response.status == 400 => Fallback::Fail,
            Ok(_) if refused => Fallback::Stay,
            Ok(_) => Fallback::Once,
            Err(TransportError::Denied(_)) => Fallback::Fail,
            Err(TransportError::Unavailable(_) | TransportError::Timeout(_)) => Fallback::Stay,
            Err(TransportError::Malformed(_) | TransportError::TooLong(_)) => Fallback::Once,
        },
    }
}

fn renewal(from: Monotonic, lifetime: Duration) -> Monotonic {
    from.saturating_add(lifetime - RENEWAL_MARGIN.min(lifetime / 2))
}

fn seconds(header: &str) -> Option<Duration> {
    let seconds: u32 = header.trim_ascii().parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;
    use crate::error::{Reason, Step};

    const WALL: UnixTime = UnixTime::from_seconds(5);

    fn answer(status: u16, body: &str, ttl: Option<&str>) -> Response {
        Response {
            status,
            headers: ttl
                .map(|ttl| vec![(TTL_HEADER, ttl.to_string())])
                .unwrap_or_default(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::new(Duration::from_secs(seconds))
    }

    fn accept(body: &str, ttl: Option<&str>) -> Result<Session, &'static str> {
        let mut session = Session::default();
        let requested = Duration::from_secs(21_600);
        session.accept(&answer(200, body, ttl), requested, at(1_000), WALL)?;
        Ok(session)
    }

    fn token(value: &str) -> Authorization {
        Authorization::Token(Secret::new(value.to_string()))
    }

    fn cause() -> Failure {
        Failure {
            reason: Reason::Forbidden,
            step: Step::Token,
            status: Some(403),
            code: None,
            attempts: 1,
            elapsed: Duration::ZERO,
            message: "x".to_string(),
        }
    }

    #[test]
    fn a_token_is_renewed_two_minutes_before_its_expiration() {
        let session = accept("token", Some("600")).unwrap();
        assert_eq!(session.authorization(at(1_479)), Some(token("token")));
        assert_eq!(session.authorization(at(1_480)), None);
        assert_eq!(
            session.held().unwrap().expires(),
            UnixTime::from_seconds(605)
        );
    }

    #[test]
    fn a_short_lived_token_is_used_for_half_its_lifetime() {
        let session = accept("token", Some("10")).unwrap();
        assert!(session.authorization(at(1_004)).is_some());
        assert!(session.authorization(at(1_005)).is_none());
        assert!(
            accept("token", Some("0"))
                .unwrap()
                .authorization(at(1_000))
                .is_none()
        );
    }

    #[test]
    fn without_the_header_a_token_has_the_requested_lifetime() {
        let session = accept("token", None).unwrap();
        assert!(session.authorization(at(1_000 + 21_479)).is_some());
        assert!(session.authorization(at(1_000 + 21_480)).is_none());
    }

    #[test]
    fn a_token_is_trimmed_and_must_be_a_legal_header_value() {
        let session = accept(" to=ken\r\n", None).unwrap();
        assert_eq!(session.authorization(at(1_000)), Some(token("to=ken")));
        for (body, ttl) in [
            ("", None),
            (" \n", None),
            ("to ken", None),
            ("to\nken", None),
            ("t\u{f6}ken", None),
            ("token", Some("")),
            ("token", Some("-1")),
            ("token", Some("1.5")),
            ("token", Some("99999999999")),
        ] {
            assert!(accept(body, ttl).is_err(), "{body:?} {ttl:?}");
        }
    }

    #[test]
    fn only_the_token_that_was_rejected_is_dropped() {
        let mut session = accept("new", None).unwrap();
        session.reject(&token("old"));
        session.reject(&Authorization::None);
        assert!(session.held().is_some());
        session.reject(&token("new"));
        assert!(session.held().is_none());
    }

    #[test]
    fn a_response_shortens_the_lifetime_of_the_token() {
        let value = Secret::new("token".to_string());
        let mut session = accept("token", Some("21600")).unwrap();
        session.correct(
            &value,
            &answer(200, "", Some("600")),
            at(2_000),
            UnixTime::from_seconds(1_005),
        );
        assert!(session.authorization(at(2_479)).is_some());
        assert!(session.authorization(at(2_480)).is_none());
        assert_eq!(
            session.held().unwrap().expires(),
            UnixTime::from_seconds(1_605)
        );
        for (sent, ttl) in [("token", "21600"), ("other", "1"), ("token", "x")] {
            let sent = Secret::new(sent.to_string());
            session.correct(&sent, &answer(200, "", Some(ttl)), at(2_000), WALL);
            assert!(session.authorization(at(2_479)).is_some(), "{ttl}");
            assert!(session.authorization(at(2_480)).is_none(), "{ttl}");
        }
    }

    #[test]
    fn a_fallback_ends_after_a_time_or_with_a_401() {
        let mut session = Session::default();
        session.fall_back(Some(at(100)), WALL, cause());
        assert_eq!(session.authorization(at(99)), Some(Authorization::None));
        assert_eq!(session.authorization(at(100)), None);
        assert_eq!(session.fallback(), Some(&(WALL, cause())));
        session.reject(&token("token"));
        assert_eq!(session.authorization(at(99)), Some(Authorization::None));
        session.reject(&Authorization::None);
        assert_eq!(session.authorization(at(99)), None);

        session.fall_back(None, WALL, cause());
        assert_eq!(session.authorization(at(99)), None, "for one request only");
        session
            .accept(
                &answer(200, "token", None),
                Duration::from_secs(60),
                at(0),
                WALL,
            )
            .unwrap();
        assert_eq!(session.fallback(), None);
    }

    #[test]
    fn only_what_the_policy_names_leads_to_imdsv1() {
        use Fallback::{Fail, Once, Stay};
        use Imdsv1Policy::{Never, OnAnyFailure, OnRefusal};
        let status = |status| Ok(answer(status, "", None));
        let rows = [
            (status(400), [Fail, Fail, Fail]),
            (status(403), [Fail, Stay, Stay]),
            (status(404), [Fail, Stay, Stay]),
            (status(405), [Fail, Stay, Stay]),
            (status(401), [Fail, Fail, Once]),
            (status(408), [Fail, Fail, Once]),
            (status(429), [Fail, Fail, Once]),
            (status(500), [Fail, Fail, Once]),
            (status(503), [Fail, Fail, Once]),
            (status(200), [Fail, Fail, Once]),
            (Err(TransportError::Unavailable("x")), [Fail, Fail, Stay]),
            (Err(TransportError::Timeout("x")), [Fail, Fail, Stay]),
            (Err(TransportError::Malformed("x")), [Fail, Fail, Once]),
            (Err(TransportError::TooLong(1)), [Fail, Fail, Once]),
            (Err(TransportError::Denied("x")), [Fail, Fail, Fail]),
        ];
        for (outcome, expected) in rows {
            for (policy, expected) in [Never, OnRefusal, OnAnyFailure].into_iter().zip(expected) {
                assert_eq!(
                    fallback(policy, &outcome, false),
                    expected,
                    "{policy:?} {outcome:?}"
                );
            }
        }
        let no_response = Err(TransportError::Timeout("x"));
        assert_eq!(
            fallback(OnAnyFailure, &no_response, true),
            Fail,
            "the time limit of the look-up had passed"
        );
    }
}
