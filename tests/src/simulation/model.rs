//! The reference model of the cache: `tests/docs/cache-model.md`, in Rust. It knows nothing of the component's code.

use std::ops::Range;
use std::time::Duration;

use chrono::DateTime;
use ec2_role_host::RefreshPolicy;
use serde_json::Value;

use super::client::{Call, Given, Said};
use super::machine::Moment;

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
        let now = call.ended.wall.as_secs_f64();
        match document(call) {
            Some(document) if capped(&document, now) > now => self.succeeded(document, call),
            Some(document) => {
                let better = self
                    .held
                    .as_ref()
                    .is_none_or(|held| held.document_ends <= document.ends);
                if better {
                    let ends = capped(&document, now);
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
        let ends = capped(&document, now);
        let window = |window: Duration| {
            let part = f64::from(self.rules.jitter) / 100.0;
            window.as_secs_f64() * (1.0 - part)..window.as_secs_f64()
        };
        let (ends, due) = match (&self.rules.policy, self.rules.window) {
            (RefreshPolicy::Classic, Some(given))
                if !given.is_zero() && ends >= now + 15.0 * MINUTE =>
            {
                let window = window(given);
                let least = ends.min((now + 5.0 * MINUTE).floor());
                let earlier = |by: f64| (ends - by).floor().max(least);
                let ends = earlier(window.end)..earlier(window.start);
                (ends.clone(), ends)
            }
            (RefreshPolicy::Classic, _) => (ends..ends, ends..ends),
            (RefreshPolicy::Windowed, configured) => {
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
                let ends = (now + 5.0 * MINUTE).floor()..(now + 15.0 * MINUTE).floor();
                (ends.clone(), ends)
            }
            RefreshPolicy::Windowed => (end..end, now + 5.0 * MINUTE..now + 10.0 * MINUTE),
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
        let promised = due.start.min(end).floor()..due.end.min(end).floor();
        within(
            "they are promised until",
            found.refresh_after as f64,
            &promised,
        )?;
        let now = call.ended.wall.as_secs_f64();
        // Now more is known of when they are due.
        let promise = found.refresh_after as f64;
        let due = match promise < end {
            true => promise.max(due.start)..(promise + 1.0).min(due.end),
            false if self.rules.policy == RefreshPolicy::Classic => end..end,
            false => due.start.max(end)..due.end.max(end),
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

fn capped(document: &Document, now: f64) -> f64 {
    document.ends.min((now + 60.0 * MINUTE).floor())
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

/// What IMDS gave in the end, if it gave credentials.
fn document(call: &Call) -> Option<Document> {
    let (path, body) = call.exchanges.last()?.found()?;
    let (_, role) = path.rsplit_once('/')?;
    if !path.contains("/security-credentials") || role.is_empty() {
        return None;
    }
    // What follows the document is ignored, and so is the case of names.
    let document = serde_json::Deserializer::from_slice(body)
        .into_iter::<Value>()
        .next()?;
    let Ok(Value::Object(document)) = document else {
        return None;
    };
    let text = |name: &str| {
        let mut fields = document
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let text = fields.next_back()?.1.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    if !text("Code")?.eq_ignore_ascii_case("Success") {
        return None;
    }
    let ends = DateTime::parse_from_rfc3339(&text("Expiration")?).ok()?;
    Some(Document {
        access_key_id: text("AccessKeyId")?,
        secret_access_key: text("SecretAccessKey")?,
        token: text("Token")?,
        ends: ends.timestamp() as f64,
    })
}
