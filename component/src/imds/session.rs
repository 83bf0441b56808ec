//! The IMDSv2 session: whether requests go with a token or without, and what makes that change.
//!
//! | state | event | next |
//! | --- | --- | --- |
//! | none | a token is received | held |
//! | none | the token is refused and the policy allows IMDSv1 ([`fallback`]) | without |
//! | held | its renewal time is reached (2.4) | none |
//! | held | IMDS answers 401 to it (2.5) | none |
//! | without | IMDS answers 401 (2.8) | none |
//! | without | as much time has passed as a token would have lived (2.8) | none |

use alloc::string::String;
use core::time::Duration;

use crate::error::Failure;
use crate::ports::{Response, TTL_HEADER, TransportError};
use crate::secret::Secret;
use crate::time::{Monotonic, UnixTime};

/// A token of more bytes than this is refused; those of IMDS have 56.
pub const TOKEN_LIMIT: usize = 4096;

/// How long before its end a token is renewed (2.4).
const RENEW_EARLY: Duration = Duration::from_secs(120);

/// The session.
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

/// A token, with its life.
#[derive(Clone, Debug)]
pub struct Token {
    value: Secret,
    renew: Monotonic,
    received: UnixTime,
    expires: UnixTime,
}

/// What the next request is sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// With this token: IMDSv2.
    Token(Secret),
    /// Without: IMDSv1.
    None,
}

impl Session {
    /// How to send a request now; `None` if a token is to be asked for first.
    pub fn authorization(&self, now: Monotonic) -> Option<Authorization> {
        match &self.state {
            State::Held(token) if now < token.renew => {
                Some(Authorization::Token(token.value.clone()))
            }
            State::Without { until } if now < *until => Some(Authorization::None),
            State::None | State::Held(_) | State::Without { .. } => None,
        }
    }

    /// The token held, whatever its age.
    pub fn held(&self) -> Option<&Token> {
        match &self.state {
            State::Held(token) => Some(token),
            State::None | State::Without { .. } => None,
        }
    }

    /// Since when, and for what failure, requests have been sent without a token: the last time
    /// that this happened, until there is a token again.
    pub fn fallback(&self) -> Option<&(UnixTime, Failure)> {
        self.fallback.as_ref()
    }

    /// Takes the token from the answer to a request for one with a life of `asked` (2.2, 2.3).
    /// `sent` and `wall` are the moment of the request, so that the time on the way counts against
    /// the token.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the answer.
    pub fn accept(
        &mut self,
        response: &Response,
        asked: Duration,
        sent: Monotonic,
        wall: UnixTime,
    ) -> Result<Secret, &'static str> {
        let text = core::str::from_utf8(&response.body).map_err(|_| "the token is not text")?;
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err("the token is empty");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token cannot be sent as a header");
        }
        let life = match response.header(TTL_HEADER) {
            Some(header) => {
                seconds(header).ok_or("the life of the token is not a number of seconds")?
            }
            None => asked,
        };
        let value = Secret::new(String::from(text));
        self.state = State::Held(Token {
            value: value.clone(),
            renew: renewal(sent, life),
            received: wall,
            expires: wall.saturating_add(life),
        });
        self.fallback = None;
        Ok(value)
    }

    /// Takes note of how long IMDS says that `token` still lives, in an answer to it (2.4). That
    /// heals a monotonic clock that stood still while the machine slept.
    pub fn correct(&mut self, token: &Secret, response: &Response, now: Monotonic, wall: UnixTime) {
        let left = response.header(TTL_HEADER).and_then(seconds);
        if let (State::Held(held), Some(left)) = (&mut self.state, left)
            && held.value == *token
        {
            // It can only be shorter than we thought: our count began before IMDS began its own.
            held.renew = held.renew.min(renewal(now, left));
            held.expires = held.expires.min(wall.saturating_add(left));
        }
    }

    /// IMDS answered 401 to a request with `sent`: what was sent is of no more use (2.5, 2.8).
    pub fn reject(&mut self, sent: &Authorization) {
        let useless = match (&self.state, sent) {
            (State::Held(held), Authorization::Token(sent)) => held.value == *sent,
            (State::Without { .. }, Authorization::None) => true,
            _ => false,
        };
        if useless {
            self.state = State::None;
        }
    }

    /// No token is to be had, and the policy says to go on without one (2.7): for this request, and
    /// until the moment `until` for the others as well.
    pub fn go_without(&mut self, until: Option<Monotonic>, wall: UnixTime, cause: Failure) {
        self.state = match until {
            Some(until) => State::Without { until },
            None => State::None,
        };
        self.fallback = Some((wall, cause));
    }
}

impl Token {
    /// When it was received, on the wall clock of then.
    pub fn received(&self) -> UnixTime {
        self.received
    }

    /// When it ends, on the wall clock of then.
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

/// What follows from a failure to get a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The look-up fails.
    Fail,
    /// This request is sent without a token.
    Once,
    /// This request and those after it are sent without a token.
    Stay,
}

/// Whether a failure to get a token leads to IMDSv1 (2.7). `ours`: the time of the look-up was
/// over, which says nothing about IMDS.
///
/// | | `never` | `on-refusal` | `on-any-failure` |
/// | --- | --- | --- | --- |
/// | 400 | fail | fail | fail |
/// | 403, 404, 405 | fail | stay | stay |
/// | no connection, silence | fail | fail | stay |
/// | any other status, or no token in the answer | fail | fail | once |
/// | the look-up's own time is over, or the host denies the request | fail | fail | fail |
pub fn fallback(
    policy: Imdsv1Policy,
    outcome: &Result<Response, TransportError>,
    ours: bool,
) -> Fallback {
    let refused = matches!(outcome, Ok(response) if matches!(response.status, 403..=405));
    match policy {
        Imdsv1Policy::Never => Fallback::Fail,
        Imdsv1Policy::OnRefusal if refused => Fallback::Stay,
        Imdsv1Policy::OnRefusal => Fallback::Fail,
        Imdsv1Policy::OnAnyFailure => match outcome {
            _ if ours => Fallback::Fail,
            Ok(response) if response.status == 400 => Fallback::Fail,
            Ok(_) if refused => Fallback::Stay,
            Ok(_) => Fallback::Once,
            Err(TransportError::Denied) => Fallback::Fail,
            Err(TransportError::Unavailable(_) | TransportError::Timeout(_)) => Fallback::Stay,
            Err(TransportError::Malformed(_) | TransportError::TooLong(_)) => Fallback::Once,
        },
    }
}

fn renewal(from: Monotonic, life: Duration) -> Monotonic {
    from.saturating_add(life - RENEW_EARLY.min(life / 2))
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
        let asked = Duration::from_secs(21_600);
        session.accept(&answer(200, body, ttl), asked, at(1_000), WALL)?;
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
    fn a_token_is_renewed_two_minutes_before_its_end() {
        let session = accept("token", Some("600")).unwrap();
        assert_eq!(session.authorization(at(1_479)), Some(token("token")));
        assert_eq!(session.authorization(at(1_480)), None);
        assert_eq!(
            session.held().unwrap().expires(),
            UnixTime::from_seconds(605)
        );
    }

    #[test]
    fn a_short_lived_token_is_used_for_half_its_life() {
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
    fn without_the_header_a_token_lives_as_long_as_was_asked() {
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
    fn an_answer_corrects_the_life_of_the_token_downwards() {
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
    fn without_a_token_lasts_for_a_time_or_until_a_401() {
        let mut session = Session::default();
        session.go_without(Some(at(100)), WALL, cause());
        assert_eq!(session.authorization(at(99)), Some(Authorization::None));
        assert_eq!(session.authorization(at(100)), None);
        assert_eq!(session.fallback(), Some(&(WALL, cause())));
        session.reject(&token("token"));
        assert_eq!(session.authorization(at(99)), Some(Authorization::None));
        session.reject(&Authorization::None);
        assert_eq!(session.authorization(at(99)), None);

        session.go_without(None, WALL, cause());
        assert_eq!(
            session.authorization(at(99)),
            None,
            "for that one request alone"
        );
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
    fn imdsv1_follows_from_what_the_policy_names_and_from_nothing_else() {
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
            (Err(TransportError::Denied), [Fail, Fail, Fail]),
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
        let silence = Err(TransportError::Timeout("x"));
        assert_eq!(
            fallback(OnAnyFailure, &silence, true),
            Fail,
            "our own time was over"
        );
    }
}
