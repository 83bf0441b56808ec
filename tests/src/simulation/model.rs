//! The reference model of the cache: `tests/docs/cache-model.md`, in Rust. It knows nothing of the component's code.

use std::ops::Range;
use std::time::Duration;

use chrono::DateTime;
use ec2_role_host::{ErrorKind, RefreshPolicy};
use serde_json::Value;

use super::client::{Call, Exchange, Given, Said, Way};
use super::machine::Moment;
use super::server::Broken;

const MINUTE: f64 = 60.0;

/// The settings that the cache goes by.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) policy: RefreshPolicy,
    pub(super) window: Option<Duration>,
    /// In percent.
    pub(super) jitter: u32,
    pub(super) max_extension: Option<Duration>,
}

/// What the cache must be holding.
#[derive(Debug)]
pub(super) struct Model {
    rules: Rules,
    held: Option<Held>,
    error: Option<(Said, Duration)>,
}

#[derive(Clone, Debug)]
struct Held {
    given: Given,
    /// Since 1970.
    document_ends: f64,
    /// How often in a row they were kept.
    kept: u32,
    since: Moment,
    /// So many seconds after that they are due: not before the first, and at the last.
    due: Range<f64>,
}

/// A document, as far as it matters here.
#[derive(Debug, PartialEq)]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    ends: f64,
}

/// What is due at some time, as one number: a clock that is ahead counts.
fn passed(since: Moment, now: Moment) -> f64 {
    let wall = now.wall.as_secs_f64() - since.wall.as_secs_f64();
    let monotonic = now.monotonic.as_secs_f64() - since.monotonic.as_secs_f64();
    wall.max(monotonic)
}

/// Moments are computed in whole nanoseconds there, and in seconds with a fraction here.
const ROUNDING: f64 = 0.000_01;

impl Model {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            held: None,
            error: None,
        }
    }

    pub(super) fn invalidate(&mut self) {
        self.held = None;
        self.error = None;
    }

    pub(super) fn reject(&mut self, access_key_id: &str, now: Moment) {
        let Some(held) = &mut self.held else { return };
        if held.given.access_key_id != access_key_id {
            return;
        }
        let ended = now.wall.as_secs();
        held.given.expires = held.given.expires.min(ended);
        held.given.refresh_after = held.given.refresh_after.min(ended);
        if self.rules.policy == RefreshPolicy::Classic || held.kept == 0 {
            held.since = now;
            held.due = 0.0..0.0;
        }
    }

    /// How often in a row what is held was kept.
    pub(super) fn kept(&self) -> u32 {
        self.held.as_ref().map_or(0, |held| held.kept)
    }

    /// When the document of what is held ends, in seconds since 1970.
    pub(super) fn document_ends(&self) -> Option<f64> {
        self.held.as_ref().map(|held| held.document_ends)
    }

    /// What is wrong with a call.
    pub(super) fn check(&mut self, call: &Call) -> Result<(), String> {
        match call.way {
            Way::Alone => self.alone(call),
            Way::Beside => self.beside(call),
            Way::Together => {
                let held = self.held.as_ref().map(|held| Ok(held.given.clone()));
                let error = self.error.as_ref().map(|(said, _)| Err(said.clone()));
                let Some(expected) = error.or(held) else {
                    return Err("nothing is held, not even an error".into());
                };
                silent(call, &expected, "others were given another answer")
            }
        }
    }

    /// Somebody else waits for a refresh meanwhile.
    fn beside(&self, call: &Call) -> Result<(), String> {
        let Some(held) = &self.held else {
            return Err(format!("nothing is held, and {:?}", call.answer));
        };
        let is_due = passed(held.since, call.began) >= held.due.end + ROUNDING;
        let left = held.given.expires as f64 - call.began.wall.as_secs_f64();
        if is_due && (self.rules.policy == RefreshPolicy::Classic || left <= MINUTE) {
            return Err(format!(
                "{:?}, which are due, while others wait",
                call.answer
            ));
        }
        silent(call, &Ok(held.given.clone()), "others wait")
    }

    fn alone(&mut self, call: &Call) -> Result<(), String> {
        if let Some(held) = &mut self.held {
            let passed = passed(held.since, call.began);
            if passed < held.due.start - ROUNDING {
                return silent(call, &Ok(held.given.clone()), "they are not due");
            }
            let is_served = call.exchanges.is_empty()
                && call.answer.as_ref().is_ok_and(|given| *given == held.given);
            if passed < held.due.end + ROUNDING && is_served {
                // So they were not due yet.
                held.due.start = held.due.start.max(passed);
                return Ok(());
            }
        }
        if let Some((said, at)) = &self.error {
            let since = call.began.monotonic.saturating_sub(*at);
            if since < Duration::from_secs(1) {
                return silent(call, &Err(said.clone()), "it has just failed");
            }
        }
        if call.exchanges.is_empty() {
            return Err("credentials are due, and nothing is asked".into());
        }
        self.error = None;
        let wall = call.ended.wall;
        let now = wall.as_secs_f64();
        match document(call) {
            Some(document) if capped(&document, wall) > now => self.succeeded(document, call),
            Some(document) => {
                let better = self
                    .held
                    .as_ref()
                    .is_none_or(|held| held.document_ends <= document.ends);
                if better {
                    let ends = capped(&document, wall);
                    self.held = Some(Held {
                        kept: self.kept(),
                        given: given(&document, seconds(ends), seconds(now)),
                        document_ends: document.ends,
                        since: call.ended,
                        due: 0.0..0.0,
                    });
                }
                self.failed(call)
            }
            None => self.failed(call),
        }
    }

    fn succeeded(&mut self, document: Document, call: &Call) -> Result<(), String> {
        let now = call.ended.wall.as_secs_f64();
        let ends = capped(&document, call.ended.wall);
        let window = |window: Duration| {
            let part = f64::from(self.rules.jitter) / 100.0;
            window.as_secs_f64() * (1.0 - part)..window.as_secs_f64()
        };
        let (ends, due) = match (&self.rules.policy, self.rules.window) {
            (RefreshPolicy::Classic, Some(given))
                if !given.is_zero() && ends >= now + 15.0 * MINUTE =>
            {
                let window = window(given);
                let least = ends.min(later(call.ended.wall, 5));
                let earlier = |by: f64| (ends - by).max(least);
                let ends = whole(earlier(window.end)..earlier(window.start));
                (ends.clone(), ends)
            }
            (RefreshPolicy::Classic, _) => (ends..ends, ends..ends),
            (_, configured) => {
                let life = ends - now;
                let advisory = match life {
                    ..=1200.0 => 5.0 * MINUTE,
                    ..5400.0 => 15.0 * MINUTE,
                    _ => 60.0 * MINUTE,
                };
                let window = configured.map_or(advisory..advisory, window);
                let mut due = Vec::new();
                if window.start < life {
                    due.extend([ends - window.end.min(life), ends - window.start]);
                }
                if window.end >= life {
                    due.push(ends - life / 2.0);
                }
                let earliest = due.iter().copied().fold(f64::INFINITY, f64::min);
                let latest = due.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                (ends..ends, earliest..latest)
            }
        };
        self.hold(document, 0, ends, due, call)
    }

    fn failed(&mut self, call: &Call) -> Result<(), String> {
        let now = call.ended.wall.as_secs_f64();
        let bound = |held: &Held| {
            let most = self.rules.max_extension?;
            Some(held.document_ends + most.as_secs_f64())
        };
        let held = match self.held.clone() {
            Some(held) if bound(&held).is_none_or(|bound| bound > now) => held,
            _ => {
                return match &call.answer {
                    Err(said) => {
                        let kinds = kinds(call, call.ended.wall);
                        if !kinds.contains(&said.kind) {
                            return Err(format!("{said:?} in place of one of {kinds:?}"));
                        }
                        self.error = Some((said.clone(), call.ended.monotonic));
                        Ok(())
                    }
                    Ok(given) => Err(format!("IMDS gave none, and {given:?} are handed out")),
                };
            }
        };
        let bound = bound(&held).unwrap_or(f64::INFINITY);
        let end = held.given.expires as f64;
        let (ends, due) = match self.rules.policy {
            RefreshPolicy::Classic if end > now + 5.0 * MINUTE => {
                let due = end.min(now + 5.0 * MINUTE)..end.min(now + 15.0 * MINUTE);
                (end..end, due)
            }
            RefreshPolicy::Classic => {
                let ends = later(call.ended.wall, 5)..later(call.ended.wall, 15);
                (ends.clone(), ends)
            }
            _ => (end..end, now + 5.0 * MINUTE..now + 10.0 * MINUTE),
        };
        let until = |range: Range<f64>| range.start.min(bound)..range.end.min(bound);
        let document = Document {
            access_key_id: held.given.access_key_id,
            secret_access_key: held.given.secret_access_key,
            token: held.given.session_token,
            ends: held.document_ends,
        };
        self.hold(document, held.kept + 1, until(ends), until(due), call)
    }

    /// Compares the answer with credentials that end and are due in these ranges, and holds them.
    fn hold(
        &mut self,
        document: Document,
        kept: u32,
        ends: Range<f64>,
        due: Range<f64>,
        call: &Call,
    ) -> Result<(), String> {
        let found = match &call.answer {
            Ok(found) => found.clone(),
            Err(said) => {
                return Err(format!(
                    "there are credentials, and the answer is: {}",
                    said.line
                ));
            }
        };
        let expected = given(&document, found.expires, found.refresh_after);
        if found != expected {
            return Err(format!("{found:?} in place of {expected:?}"));
        }
        within("they end", found.expires as f64, &ends)?;
        // What is promised never goes beyond the end.
        let end = found.expires as f64;
        let promised = whole(due.start.min(end)..due.end.min(end));
        within(
            "they are promised until",
            found.refresh_after as f64,
            &promised,
        )?;
        let now = call.ended.wall.as_secs_f64();
        // Now it is known when they are due, or that it is not before their end.
        let promise = found.refresh_after as f64;
        let seconds = whole(due.clone());
        let due = match promise < end {
            true if promise > now => promise..promise,
            // In this very second.
            true => promise.max(due.start)..(promise + 1.0).min(due.end),
            false if self.rules.policy == RefreshPolicy::Classic => end..end,
            false => seconds.start.max(end)..seconds.end.max(end),
        };
        self.held = Some(Held {
            given: found,
            document_ends: document.ends,
            kept,
            since: call.ended,
            due: due.start - now..due.end - now,
        });
        Ok(())
    }
}

/// The answer must be this, and nobody may have been asked.
fn silent(call: &Call, expected: &Result<Given, Said>, why: &str) -> Result<(), String> {
    if let Some(exchange) = call.exchanges.first() {
        return Err(format!("{why}, and yet {exchange} is sent"));
    }
    match call.answer == *expected {
        true => Ok(()),
        false => Err(format!("{why}: {:?} in place of {expected:?}", call.answer)),
    }
}

fn within(what: &str, found: f64, range: &Range<f64>) -> Result<(), String> {
    match range.start - ROUNDING <= found && found <= range.end + ROUNDING {
        true => Ok(()),
        false => Err(format!("{what} at {found}, and not within {range:?}")),
    }
}

/// Whole seconds, rounded down.
fn whole(range: Range<f64>) -> Range<f64> {
    (range.start - ROUNDING).floor()..(range.end + ROUNDING).floor()
}

fn capped(document: &Document, now: Duration) -> f64 {
    document.ends.min(later(now, 60))
}

/// So many minutes later, in whole seconds.
fn later(now: Duration, minutes: u64) -> f64 {
    (now.as_secs() + 60 * minutes) as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "moments are seconds since 1970"
)]
fn seconds(moment: f64) -> u64 {
    moment.max(0.0) as u64
}

fn given(document: &Document, expires: u64, refresh_after: u64) -> Given {
    Given {
        access_key_id: document.access_key_id.clone(),
        secret_access_key: document.secret_access_key.clone(),
        session_token: document.token.clone(),
        expires,
        refresh_after,
    }
}

/// What a failure can be called, after the last exchange.
fn kinds(call: &Call, now: Duration) -> Vec<ErrorKind> {
    let Some(exchange) = call.exchanges.last() else {
        return Vec::new();
    };
    let answer = match &exchange.exchanged.outcome {
        Ok(answer) => answer,
        Err(Broken::Refused | Broken::Reset) => return vec![ErrorKind::Unavailable],
        Err(Broken::Late) => return vec![ErrorKind::Timeout],
        // A host cannot tell them apart.
        Err(Broken::NotHttp) => return vec![ErrorKind::Unavailable, ErrorKind::InvalidResponse],
    };
    let kind = match answer.status {
        // Whatever the status, it is not read to its end.
        _ if answer.body.len() > exchange.body_limit => ErrorKind::InvalidResponse,
        403 => ErrorKind::Forbidden,
        404 if !exchange.put => ErrorKind::NoRole,
        429 | 503 => ErrorKind::Throttled,
        500..600 => ErrorKind::Unavailable,
        200 => unusable(exchange, now),
        _ => ErrorKind::UnexpectedStatus,
    };
    vec![kind]
}

/// Why an answer with status 200 gives no credentials.
fn unusable(exchange: &Exchange, now: Duration) -> ErrorKind {
    let Some((path, body)) = exchange.found() else {
        return ErrorKind::InvalidResponse;
    };
    if path.ends_with('/') {
        return match body.trim_ascii().is_empty() {
            true => ErrorKind::NoRole,
            false => ErrorKind::InvalidResponse,
        };
    }
    match read(body) {
        Read::Refused => ErrorKind::Refused,
        Read::Credentials(document) if capped(&document, now) <= now.as_secs_f64() => {
            ErrorKind::Expired
        }
        _ => ErrorKind::InvalidResponse,
    }
}

/// What IMDS gave in the end, if it gave credentials.
fn document(call: &Call) -> Option<Document> {
    let (path, body) = call.exchanges.last()?.found()?;
    let (_, role) = path.rsplit_once('/')?;
    if !path.contains("/security-credentials") || role.is_empty() {
        return None;
    }
    match read(body) {
        Read::Credentials(document) => Some(document),
        Read::Refused | Read::Nothing => None,
    }
}

enum Read {
    Credentials(Document),
    Refused,
    Nothing,
}

fn read(body: &[u8]) -> Read {
    // What follows the document is ignored, and so is the case of names.
    let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let Some(Ok(Value::Object(document))) = documents.next() else {
        return Read::Nothing;
    };
    let text = |name: &str| {
        let mut fields = document
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let text = fields.next_back()?.1.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    match text("Code") {
        None => return Read::Nothing,
        Some(code) if !code.eq_ignore_ascii_case("Success") => return Read::Refused,
        Some(_) => {}
    }
    let credentials = || {
        let ends = DateTime::parse_from_rfc3339(&text("Expiration")?).ok()?;
        Some(Document {
            access_key_id: text("AccessKeyId")?,
            secret_access_key: text("SecretAccessKey")?,
            token: text("Token")?,
            ends: ends.timestamp() as f64,
        })
    };
    credentials().map_or(Read::Nothing, Read::Credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::client::Exchange;
    use crate::simulation::server::{Answer, Exchanged};

    const WALL: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Moment {
        Moment {
            wall: Duration::from_secs(WALL + seconds),
            monotonic: Duration::from_secs(seconds),
        }
    }

    fn model(policy: RefreshPolicy) -> Model {
        Model::new(Rules {
            policy,
            window: None,
            jitter: 0,
            max_extension: None,
        })
    }

    fn exchange(status: u16, body: &'static str) -> Exchange {
        Exchange {
            began: Duration::ZERO,
            put: false,
            path: "/latest/meta-data/iam/security-credentials/role".into(),
            token: Some("token".into()),
            exchanged: Exchanged {
                rules: Vec::new(),
                outcome: Ok(Answer {
                    status,
                    headers: http::HeaderMap::new(),
                    body: body.into(),
                }),
                wrong: None,
            },
            body_limit: 1000,
        }
    }

    /// A call at a moment, that got `answer` by `exchanges`.
    fn call(seconds: u64, answer: Result<Given, Said>, exchanges: Vec<Exchange>) -> Call {
        Call {
            began: at(seconds),
            ended: at(seconds),
            exchanges,
            answer,
            failing: false,
            status: String::new(),
            restarts: 0,
            way: Way::Alone,
            logged: String::new(),
        }
    }

    fn said(kind: ErrorKind) -> Result<Given, Said> {
        Err(Said {
            kind,
            line: "so".into(),
            debug: "So".into(),
        })
    }

    const DOCUMENT: &str = r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"secret","Token":"token",
        "Expiration":"2027-01-15T08:50:00Z"}"#;

    /// Of a life of fifty minutes, due fifteen before its end for `windowed`.
    fn credentials(refresh_after: u64) -> Result<Given, Said> {
        Ok(Given {
            access_key_id: "id".into(),
            secret_access_key: "secret".into(),
            session_token: "token".into(),
            expires: WALL + 3_000,
            refresh_after: WALL + refresh_after,
        })
    }

    /// It holds [`credentials`] from the first second on.
    fn holding(policy: RefreshPolicy, refresh_after: u64) -> Model {
        let mut model = model(policy);
        let first = call(0, credentials(refresh_after), vec![exchange(200, DOCUMENT)]);
        assert_eq!(model.check(&first), Ok(()));
        model
    }

    #[test]
    fn who_asks_before_they_are_due_is_found() {
        let mut model = holding(RefreshPolicy::Windowed, 2_100);
        let served = call(2_099, credentials(2_100), Vec::new());
        assert_eq!(model.check(&served), Ok(()));
        let asked = call(2_099, credentials(2_100), vec![exchange(200, DOCUMENT)]);
        assert!(model.check(&asked).unwrap_err().contains("not due"));
        let served = call(2_101, credentials(2_100), Vec::new());
        assert!(
            model
                .check(&served)
                .unwrap_err()
                .contains("nothing is asked")
        );
    }

    #[test]
    fn beside_one_that_waits_windowed_goes_on_until_the_last_minute_and_classic_does_not() {
        let beside = |seconds, refresh_after| Call {
            way: Way::Beside,
            ..call(seconds, credentials(refresh_after), Vec::new())
        };
        let mut windowed = holding(RefreshPolicy::Windowed, 2_100);
        assert_eq!(windowed.check(&beside(2_939, 2_100)), Ok(()));
        assert!(windowed.check(&beside(2_940, 2_100)).is_err());
        let mut classic = holding(RefreshPolicy::Classic, 3_000);
        assert_eq!(classic.check(&beside(2_999, 3_000)), Ok(()));
        assert!(classic.check(&beside(3_001, 3_000)).is_err());
    }

    #[test]
    fn those_who_wait_together_are_given_the_same() {
        let mut model = holding(RefreshPolicy::Classic, 3_000);
        let together = |answer| Call {
            way: Way::Together,
            ..call(0, answer, Vec::new())
        };
        assert_eq!(model.check(&together(credentials(3_000))), Ok(()));
        assert!(model.check(&together(credentials(2_999))).is_err());
        assert!(model.check(&together(said(ErrorKind::NoRole))).is_err());
    }

    #[test]
    fn an_error_that_is_called_otherwise_is_found() {
        for (status, body, kind) in [
            (403, "", ErrorKind::Forbidden),
            (404, "", ErrorKind::NoRole),
            (418, "", ErrorKind::UnexpectedStatus),
            (429, "", ErrorKind::Throttled),
            (500, "", ErrorKind::Unavailable),
            (503, "", ErrorKind::Throttled),
            (200, "{", ErrorKind::InvalidResponse),
            (200, r#"{"Code":"Failed"}"#, ErrorKind::Refused),
            (
                200,
                &DOCUMENT.replace("2027", "2020").leak()[..],
                ErrorKind::Expired,
            ),
        ] {
            let failed = |kind| call(0, said(kind), vec![exchange(status, body)]);
            let verdict = |kind| model(RefreshPolicy::Classic).check(&failed(kind));
            match kind {
                // They are the best that there are.
                ErrorKind::Expired => assert_eq!(kinds(&failed(kind), at(0).wall), [kind]),
                _ => assert_eq!(verdict(kind), Ok(()), "{status} {body}"),
            }
            assert!(verdict(ErrorKind::Denied).is_err(), "{status} {body}");
        }
    }
}
