//! The reference model of the cache: `tests/docs/cache-model.md` in Rust. It shares no code with the component.

mod document;

use std::ops::Range;
use std::time::Duration;

use ec2_role_host::RefreshPolicy;

use self::document::{Document, capped, document, kinds, later};
use super::client::{Call, Given, ReportedError, Served};
use super::machine::Moment;

const MINUTE: f64 = 60.0;

/// The settings of the cache.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) policy: RefreshPolicy,
    pub(super) window: Option<Duration>,
    /// In percent.
    pub(super) jitter: u32,
    pub(super) max_extension: Option<Duration>,
}

/// What the cache must hold.
#[derive(Debug)]
pub(super) struct Model {
    rules: Rules,
    held: Option<Held>,
    error: Option<(ReportedError, Duration)>,
}

#[derive(Clone, Debug)]
struct Held {
    given: Given,
    /// Since 1970.
    document_expires: f64,
    /// How often in a row the credentials were extended.
    extensions: u32,
    since: Moment,
    /// The credentials become due within this range of seconds after `since`.
    due: Range<f64>,
}

/// The time that has passed, on the clock that is further ahead.
fn passed(since: Moment, now: Moment) -> f64 {
    let wall = now.wall.as_secs_f64() - since.wall.as_secs_f64();
    let monotonic = now.monotonic.as_secs_f64() - since.monotonic.as_secs_f64();
    wall.max(monotonic)
}

/// The component computes in whole nanoseconds, and this model in fractions of a second.
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
        if self.rules.policy == RefreshPolicy::Classic || held.extensions == 0 {
            held.since = now;
            held.due = 0.0..0.0;
        }
    }

    /// How often in a row the held credentials were extended.
    pub(super) fn extensions(&self) -> u32 {
        self.held.as_ref().map_or(0, |held| held.extensions)
    }

    /// When the document of the held credentials expires, in seconds since 1970.
    pub(super) fn document_expires(&self) -> Option<f64> {
        self.held.as_ref().map(|held| held.document_expires)
    }

    /// Checks a call, and returns what is wrong with it.
    pub(super) fn check(&mut self, call: &Call) -> Result<(), String> {
        match call.served {
            Served::Alone => self.alone(call),
            Served::DuringRefresh => self.beside(call),
            Served::Shared => {
                let held = self.held.as_ref().map(|held| Ok(&held.given));
                let error = self.error.as_ref().map(|(said, _)| Err(said));
                let Some(expected) = error.or(held) else {
                    return Err("nothing is held, not even an error".into());
                };
                silent(call, expected, "other callers received another result")
            }
        }
    }

    /// Another caller is waiting for a refresh.
    fn beside(&self, call: &Call) -> Result<(), String> {
        let Some(held) = &self.held else {
            return Err(format!(
                "nothing is held, but the result is {:?}",
                call.result
            ));
        };
        let is_due = passed(held.since, call.began) >= held.due.end + ROUNDING;
        let left = held.given.expires as f64 - call.began.wall.as_secs_f64();
        if is_due && (self.rules.policy == RefreshPolicy::Classic || left <= MINUTE) {
            return Err(format!(
                "{:?}, which are due, while other callers wait",
                call.result
            ));
        }
        silent(call, Ok(&held.given), "other callers wait")
    }

    fn alone(&mut self, call: &Call) -> Result<(), String> {
        if let Some(held) = &mut self.held {
            let passed = passed(held.since, call.began);
            if passed < held.due.start - ROUNDING {
                return silent(call, Ok(&held.given), "the credentials are not due");
            }
            let is_served = call.exchanges.is_empty()
                && call.result.as_ref().is_ok_and(|given| *given == held.given);
            if passed < held.due.end + ROUNDING && is_served {
                // They were not due yet.
                held.due.start = held.due.start.max(passed);
                return Ok(());
            }
        }
        if let Some((said, at)) = &self.error {
            let since = call.began.monotonic.saturating_sub(*at);
            if since < Duration::from_secs(1) {
                return silent(call, Err(said), "the last call has just failed");
            }
        }
        if call.exchanges.is_empty() {
            return Err("credentials are due, but no request is sent".into());
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
                    .is_none_or(|held| held.document_expires <= document.expires);
                if better {
                    let ends = capped(&document, wall);
                    self.held = Some(Held {
                        extensions: self.extensions(),
                        given: given(&document, seconds(ends), seconds(now)),
                        document_expires: document.expires,
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
            Some(held.document_expires + most.as_secs_f64())
        };
        let held = match self.held.clone() {
            Some(held) if bound(&held).is_none_or(|bound| bound > now) => held,
            _ => {
                return match &call.result {
                    Err(said) => {
                        let kinds = kinds(call, call.ended.wall);
                        if !kinds.contains(&said.kind) {
                            return Err(format!("{said:?} instead of one of {kinds:?}"));
                        }
                        self.error = Some((said.clone(), call.ended.monotonic));
                        Ok(())
                    }
                    Ok(given) => Err(format!(
                        "IMDS issued no credentials, but the result is {given:?}"
                    )),
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
            expires: held.document_expires,
        };
        self.hold(document, held.extensions + 1, until(ends), until(due), call)
    }

    /// Compares the result with credentials that expire and become due in these ranges, and holds them.
    fn hold(
        &mut self,
        document: Document,
        extensions: u32,
        ends: Range<f64>,
        due: Range<f64>,
        call: &Call,
    ) -> Result<(), String> {
        let found = match &call.result {
            Ok(found) => found.clone(),
            Err(said) => {
                return Err(format!(
                    "there are credentials, but the result is: {}",
                    said.line
                ));
            }
        };
        let expected = given(&document, found.expires, found.refresh_after);
        if found != expected {
            return Err(format!("{found:?} instead of {expected:?}"));
        }
        within("they expire", found.expires as f64, &ends)?;
        // The promise is never later than the expiration.
        let end = found.expires as f64;
        let promised = whole(due.start.min(end)..due.end.min(end));
        within(
            "they are promised until",
            found.refresh_after as f64,
            &promised,
        )?;
        let now = call.ended.wall.as_secs_f64();
        // The promise states when the credentials are due, unless they are due at their expiration.
        let promise = found.refresh_after as f64;
        let seconds = whole(due.clone());
        let due = match promise < end {
            true if promise > now => promise..promise,
            // In the current second.
            true => promise.max(due.start)..(promise + 1.0).min(due.end),
            false if self.rules.policy == RefreshPolicy::Classic => end..end,
            false => seconds.start.max(end)..seconds.end.max(end),
        };
        self.held = Some(Held {
            given: found,
            document_expires: document.expires,
            extensions,
            since: call.ended,
            due: due.start - now..due.end - now,
        });
        Ok(())
    }
}

/// Checks that a call returned this result without a request.
fn silent(call: &Call, expected: Result<&Given, &ReportedError>, why: &str) -> Result<(), String> {
    if let Some(exchange) = call.exchanges.first() {
        return Err(format!("{why}, but {exchange} was sent"));
    }
    match call.result.as_ref() == expected {
        true => Ok(()),
        false => Err(format!("{why}: {:?} instead of {expected:?}", call.result)),
    }
}

fn within(what: &str, found: f64, range: &Range<f64>) -> Result<(), String> {
    match range.start - ROUNDING <= found && found <= range.end + ROUNDING {
        true => Ok(()),
        false => Err(format!("{what} at {found}, not within {range:?}")),
    }
}

/// Whole seconds, rounded down.
fn whole(range: Range<f64>) -> Range<f64> {
    (range.start - ROUNDING).floor()..(range.end + ROUNDING).floor()
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

#[cfg(test)]
mod tests;
