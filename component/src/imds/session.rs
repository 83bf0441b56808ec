//! The IMDSv2 session token: when there is one that can be used, and what makes it go away.
//!
//! | state | event | next |
//! | --- | --- | --- |
//! | none | a token is received | held |
//! | held | its renewal time is reached (2.4) | none |
//! | held | IMDS answers 401 to it (2.5) | none |

use alloc::string::String;
use core::time::Duration;

use crate::ports::Response;
use crate::secret::Secret;
use crate::time::{Monotonic, UnixTime};

/// The header with the life of a token in seconds, asked for and given.
pub const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The header with the token.
pub const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";

/// A token of more bytes than this is refused; those of IMDS have 56.
pub const TOKEN_LIMIT: usize = 4096;

/// How long before its end a token is renewed (2.4).
const RENEW_EARLY: Duration = Duration::from_secs(120);

/// The token held, if any.
#[derive(Debug, Default)]
pub struct Session {
    token: Option<Token>,
}

/// A token, with its life.
#[derive(Clone, Debug)]
pub struct Token {
    value: Secret,
    renew: Monotonic,
    received: UnixTime,
    expires: UnixTime,
}

impl Session {
    /// The token held, unless it is time to get another.
    pub fn usable(&self, now: Monotonic) -> Option<&Token> {
        self.token.as_ref().filter(|token| now < token.renew)
    }

    /// The token held, whatever its age.
    pub fn held(&self) -> Option<&Token> {
        self.token.as_ref()
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
    ) -> Result<&Token, &'static str> {
        let text = core::str::from_utf8(&response.body).map_err(|_| "the token is not text")?;
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err("the token is empty");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token cannot be sent as a header");
        }
        let life = match response.header(TTL_HEADER) {
            Some(seconds) => seconds
                .trim_ascii()
                .parse()
                .map(|seconds: u32| Duration::from_secs(seconds.into()))
                .map_err(|_| "the life of the token is not a number of seconds")?,
            None => asked,
        };
        let early = RENEW_EARLY.min(life / 2);
        Ok(self.token.insert(Token {
            value: Secret::new(String::from(text)),
            renew: sent.saturating_add(life - early),
            received: wall,
            expires: wall.saturating_add(life),
        }))
    }

    /// Drops the token held, if it is the one that IMDS did not accept (2.5).
    pub fn reject(&mut self, rejected: &Secret) {
        if self
            .token
            .as_ref()
            .is_some_and(|token| token.value == *rejected)
        {
            self.token = None;
        }
    }
}

impl Token {
    /// What to send.
    pub fn value(&self) -> &Secret {
        &self.value
    }

    /// When it was received, on the wall clock of then.
    pub fn received(&self) -> UnixTime {
        self.received
    }

    /// When it ends, on the wall clock of then.
    pub fn expires(&self) -> UnixTime {
        self.expires
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn answer(body: &str, ttl: Option<&str>) -> Response {
        Response {
            status: 200,
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
        session.accept(
            &answer(body, ttl),
            asked,
            at(1_000),
            UnixTime::from_seconds(5),
        )?;
        Ok(session)
    }

    #[test]
    fn a_token_is_renewed_two_minutes_before_its_end() {
        let session = accept("token", Some("600")).unwrap();
        assert!(session.usable(at(1_479)).is_some());
        assert!(session.usable(at(1_480)).is_none());
        assert_eq!(
            session.held().unwrap().expires(),
            UnixTime::from_seconds(605)
        );
    }

    #[test]
    fn a_short_lived_token_is_used_for_half_its_life() {
        let session = accept("token", Some("10")).unwrap();
        assert!(session.usable(at(1_004)).is_some());
        assert!(session.usable(at(1_005)).is_none());
        assert!(
            accept("token", Some("0"))
                .unwrap()
                .usable(at(1_000))
                .is_none()
        );
    }

    #[test]
    fn without_the_header_a_token_lives_as_long_as_was_asked() {
        let session = accept("token", None).unwrap();
        assert!(session.usable(at(1_000 + 21_479)).is_some());
        assert!(session.usable(at(1_000 + 21_480)).is_none());
    }

    #[test]
    fn a_token_is_trimmed_and_must_be_a_legal_header_value() {
        assert_eq!(
            accept(" to=ken\r\n", None)
                .unwrap()
                .held()
                .unwrap()
                .value()
                .expose(),
            "to=ken"
        );
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
        session.reject(&Secret::new("old".to_string()));
        assert!(session.held().is_some());
        session.reject(&Secret::new("new".to_string()));
        assert!(session.held().is_none());
    }
}
