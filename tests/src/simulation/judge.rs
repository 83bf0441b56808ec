//! What must always hold, whatever goes wrong. It is looked at after every call of every client.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use ec2_role_component::config::{Imdsv1Policy, Options};
use ec2_role_host::RefreshPolicy;

use super::client::{Call, Exchange, Said, Way};
use super::machine::Moment;
use super::model::{Model, Rules};
use super::schedule::Readable;
use super::server::TTL;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// What should have held.
    pub invariant: Invariant,
    /// When, since the beginning.
    pub at: Duration,
    /// Whose fault it is.
    pub client: usize,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            at,
            client,
            seen,
        } = self;
        write!(
            f,
            "at {}, client {client}: {invariant}: {seen}",
            Readable(*at)
        )
    }
}

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// Nobody is given credentials that are over, but by `windowed` while refreshes fail, and then up
    /// to the bound.
    NothingExpired,
    /// Credentials are kept longer than they should be only when IMDS gives none.
    NoExtensionInHealth,
    /// A quarter of an hour after everything is well, so is the client.
    Recovery,
    /// No more requests than a token bucket allows.
    BoundedRequests,
    /// No IMDSv1 where that is forbidden.
    NoImdsv1,
    /// No secret in an error, a status or a log.
    NoSecrets,
    /// Every answer is that of the model.
    Model,
    /// What the emulator answers, when no fault has its hands in it, is what IMDS answers.
    Emulator,
    /// The sandbox has what it needs, memory and handles among it, and the component comes to an end.
    Sandbox,
    /// What a client holds does not grow.
    FlatMemory,
    /// Every call comes to its end.
    NoHang,
    /// Nobody is given credentials that IMDS has not given.
    Known,
    /// With a refresh in the background, nobody has to begin one while IMDS is well.
    Background,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingExpired => "no credentials that are over",
            Self::NoExtensionInHealth => "no extension while IMDS is well",
            Self::Recovery => "recovery",
            Self::BoundedRequests => "bounded requests",
            Self::NoImdsv1 => "no IMDSv1 where it is forbidden",
            Self::NoSecrets => "no secret in what is said",
            Self::Model => "the same as the model",
            Self::Emulator => "the emulator's own answers",
            Self::Sandbox => "the sandbox",
            Self::FlatMemory => "flat memory",
            Self::NoHang => "no call without an end",
            Self::Known => "only what IMDS gave",
            Self::Background => "refreshed before it is due",
        })
    }
}

/// A call for credentials asks for a token, a list and a document, for two of these once more after a 401, and for list
/// and document three times where a role has gone; what fails is repeated. So many requests a client may send at
/// once for each attempt that it has, and so many more. A call that failed is followed by a second of rest, and an
/// attempt by a pause: then so many in a second.
const REQUESTS: f64 = 4.0;
const MORE: f64 = 6.0;
const RATE: f64 = 5.0;

/// So long after everything is well a client can still be in the rest that it has after a failure: 15
/// minutes, and the time that a last call under the fault took.
const RECOVERY: Duration = Duration::from_secs(15 * 60 + 30);

/// All that a client holds is no longer than this, written out.
const HELD: usize = 4096;

/// Of so many secrets it is looked whether they show.
const SECRETS: usize = 12;

/// And so many documents are known.
const KNOWN: usize = 100;

/// Watches one client from its beginning to its end.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) client: usize,
    rules: Rules,
    imdsv1: Imdsv1Policy,
    /// What happens in the background cannot be followed by a model.
    model: Option<Model>,
    secrets: VecDeque<String>,
    /// Secret key and token of the documents that IMDS gave.
    known: VecDeque<[String; 2]>,
    /// So many requests it may send at once, and so many are left of them.
    burst: f64,
    tokens: f64,
    filled: Duration,
    /// Whether the last request for a token was refused.
    refused: bool,
    rejected: bool,
    /// Refreshes that a caller had to begin while IMDS was well, though there are some in the background.
    begun: u64,
    /// Reasons that it may have had for it.
    reasons: u64,
}

/// What is true of the world at the moment of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) now: Duration,
    /// When the call was made.
    pub(super) began: Duration,
    /// Since when nothing has been wrong.
    pub(super) well_since: Option<Duration>,
    /// How often a clock has been set, or a machine suspended.
    pub(super) jumps: u64,
}

type Verdict = Result<(), (Invariant, String)>;

fn must(holds: bool, invariant: Invariant, seen: impl FnOnce() -> String) -> Verdict {
    match holds {
        true => Ok(()),
        false => Err((invariant, seen())),
    }
}

impl Judge {
    pub(super) fn new(
        client: usize,
        rules: Rules,
        options: &Options,
        background: bool,
        now: Duration,
    ) -> Self {
        let burst = REQUESTS * f64::from(options.attempts.unwrap_or(3)) + MORE;
        Self {
            client,
            model: (!background).then(|| Model::new(rules.clone())),
            rules,
            imdsv1: options.imdsv1.unwrap_or(Imdsv1Policy::Never),
            secrets: VecDeque::new(),
            known: VecDeque::new(),
            burst,
            tokens: burst,
            filled: now,
            refused: false,
            rejected: false,
            begun: 0,
            reasons: 0,
        }
    }

    pub(super) fn call(&mut self, call: &Call, around: Around) -> Option<Violation> {
        let verdict = self
            .exchanges(&call.exchanges)
            .and_then(|()| {
                must(call.restarts == 0, Invariant::Sandbox, || {
                    format!("{} restarts: {:?}", call.restarts, call.answer)
                })
            })
            .and_then(|()| {
                let held = call.status.len();
                must(held <= HELD, Invariant::FlatMemory, || {
                    format!("{held} bytes are held")
                })
            })
            .and_then(|()| self.secrets(call.answer.as_ref().err(), &call.status, &call.logged))
            .and_then(|()| match &mut self.model {
                Some(model) => {
                    let checked = model.check(call);
                    checked.map_err(|seen| (Invariant::Model, seen))
                }
                None => self.in_the_background(call, around),
            })
            .and_then(|()| self.answer(call, around));
        if !call.exchanges.is_empty() {
            self.rejected = false;
        }
        self.violation(verdict, around.now)
    }

    pub(super) fn other(
        &mut self,
        exchanges: &[Exchange],
        said: Option<&Said>,
        now: Duration,
    ) -> Option<Violation> {
        let verdict = self
            .exchanges(exchanges)
            .and_then(|()| self.secrets(said, "", ""));
        self.violation(verdict, now)
    }

    pub(super) fn rejected(&mut self, access_key_id: &str, now: Moment) {
        self.rejected = true;
        self.reasons += 1;
        if let Some(model) = &mut self.model {
            model.reject(access_key_id, now);
        }
    }

    pub(super) fn invalidated(&mut self) {
        self.reasons += 1;
        if let Some(model) = &mut self.model {
            model.invalidate();
        }
    }

    fn violation(&self, verdict: Verdict, at: Duration) -> Option<Violation> {
        let (invariant, seen) = verdict.err()?;
        Some(Violation {
            invariant,
            at,
            client: self.client,
            seen,
        })
    }

    fn exchanges(&mut self, exchanges: &[Exchange]) -> Verdict {
        for exchange in exchanges {
            let passed = exchange.began.saturating_sub(self.filled).as_secs_f64();
            self.filled = exchange.began;
            self.tokens = (self.tokens + passed * RATE).min(self.burst);
            // Who asks for something else is answered each time.
            if exchange.put || exchange.path.contains("/security-credentials") {
                self.tokens -= 1.0;
            }
            must(self.tokens >= 0.0, Invariant::BoundedRequests, || {
                format!("one too many: {exchange}")
            })?;
            if let Some(wrong) = &exchange.exchanged.wrong {
                return Err((Invariant::Emulator, format!("{exchange}: {wrong}")));
            }
            self.remember(exchange);
            if exchange.put {
                let status = exchange
                    .exchanged
                    .outcome
                    .as_ref()
                    .map(|answer| answer.status);
                self.refused = matches!(status, Ok(403..=405));
                continue;
            }
            let allowed = match self.imdsv1 {
                Imdsv1Policy::Never => false,
                Imdsv1Policy::OnRefusal => self.refused,
                Imdsv1Policy::OnAnyFailure => true,
            };
            must(
                exchange.token.is_some() || allowed,
                Invariant::NoImdsv1,
                || exchange.to_string(),
            )?;
        }
        Ok(())
    }

    /// Keeps in mind what must not show.
    fn remember(&mut self, exchange: &Exchange) {
        let Ok(answer) = &exchange.exchanged.outcome else {
            return;
        };
        if exchange.put && answer.headers.contains_key(TTL) {
            self.add_secret(String::from_utf8_lossy(&answer.body).into_owned());
            return;
        }
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
            return;
        };
        let text = |name: &str| Some(document.get(name)?.as_str()?.to_owned());
        let secrets = ["SecretAccessKey", "Token"].map(text);
        for secret in secrets.iter().flatten() {
            self.add_secret(secret.clone());
        }
        if let ([Some(key), Some(token)], None) = (secrets, &self.model) {
            let pair = [key, token];
            if !self.known.contains(&pair) {
                if self.known.len() == KNOWN {
                    self.known.pop_front();
                }
                self.known.push_back(pair);
            }
        }
    }

    fn add_secret(&mut self, secret: String) {
        // Shorter ones are none, and would be found anywhere.
        if secret.len() < 16 || self.secrets.contains(&secret) {
            return;
        }
        if self.secrets.len() == SECRETS {
            self.secrets.pop_front();
        }
        self.secrets.push_back(secret);
    }

    fn secrets(&self, said: Option<&Said>, status: &str, logged: &str) -> Verdict {
        let shows = |text: &str| {
            self.secrets
                .iter()
                .any(|secret| text.contains(secret.as_str()))
        };
        let error = said.is_some_and(|said| shows(&said.line) || shows(&said.debug));
        must(!error, Invariant::NoSecrets, || "in an error".into())?;
        must(!shows(status), Invariant::NoSecrets, || {
            "in the status".into()
        })?;
        must(!shows(logged), Invariant::NoSecrets, || "in a log".into())
    }

    /// What can be said of a call without a model.
    fn in_the_background(&mut self, call: &Call, around: Around) -> Verdict {
        if let Ok(given) = &call.answer {
            let is_known = self.known.iter().any(|[key, token]| {
                *key == given.secret_access_key && *token == given.session_token
            });
            must(is_known, Invariant::Known, || format!("{given:?}"))?;
        }
        let Some(well_since) = around.well_since else {
            return Ok(());
        };
        let began_it = call
            .exchanges
            .first()
            .is_some_and(|exchange| exchange.began >= around.began);
        if began_it && around.began >= well_since + RECOVERY {
            self.begun += 1;
            // And the first one of all.
            let most = self.reasons + around.jumps + 1;
            return must(self.begun <= most, Invariant::Background, || {
                format!("the {}. time, of at most {most}", self.begun)
            });
        }
        Ok(())
    }

    fn answer(&self, call: &Call, around: Around) -> Verdict {
        let kept = match &self.model {
            Some(model) => model.kept(),
            None => u32::from(call.failing),
        };
        if let Ok(given) = &call.answer {
            let now = call.ended.wall;
            let is_over = Duration::from_secs(given.expires) <= now;
            let goes_on =
                self.rules.policy == RefreshPolicy::Windowed && (kept > 0 || self.rejected);
            must(!is_over || goes_on, Invariant::NothingExpired, || {
                format!("{given:?}, and it is {now:?}")
            })?;
            let ends = self.model.as_ref().and_then(Model::document_ends);
            if let (Some(most), Some(ends)) = (self.rules.max_extension, ends) {
                let bound = ends + most.as_secs_f64();
                must(
                    kept == 0 || now.as_secs_f64() < bound,
                    Invariant::NothingExpired,
                    || format!("{given:?} at {now:?}, beyond the bound, which is {bound}"),
                )?;
            }
        }
        let Some(well_since) = around.well_since else {
            return Ok(());
        };
        // A call under way may have met the fault, and one that is given what is held rests from it.
        let first = call.exchanges.first();
        if around.began >= well_since && first.is_some_and(|first| first.began >= well_since) {
            must(
                kept == 0 && call.answer.is_ok(),
                Invariant::NoExtensionInHealth,
                || {
                    let exchanges: Vec<String> =
                        call.exchanges.iter().map(ToString::to_string).collect();
                    format!("{:?} after {}", call.answer, exchanges.join(", "))
                },
            )?;
        }
        // Beside one that waits, the state is the one of before.
        let is_well = call.answer.is_ok() && (!call.failing || call.way == Way::Beside);
        must(
            around.began < well_since + RECOVERY || is_well,
            Invariant::Recovery,
            || format!("well since {}, and {:?}", Readable(well_since), call.answer),
        )
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use ec2_role_host::ErrorKind;

    use super::*;
    use crate::simulation::client::Given;
    use crate::simulation::server::{Answer, Broken, Exchanged};

    const SECRET: &str = "a secret of some length";

    fn judge() -> Judge {
        let rules = Rules {
            policy: RefreshPolicy::Classic,
            window: None,
            jitter: 0,
            max_extension: None,
        };
        Judge::new(0, rules, &Options::default(), false, Duration::ZERO)
    }

    fn exchange(token: bool, outcome: Result<Answer, Broken>) -> Exchange {
        Exchange {
            began: Duration::ZERO,
            put: false,
            path: "/latest/meta-data/iam/security-credentials/role".into(),
            token: token.then(|| "token".into()),
            exchanged: Exchanged {
                rules: Vec::new(),
                outcome,
                wrong: None,
            },
            body_limit: 1000,
        }
    }

    /// A refresh that failed, when nothing was held.
    fn failed() -> Call {
        let now = Moment {
            wall: Duration::from_secs(1_800_000_000),
            monotonic: Duration::from_secs(7),
        };
        Call {
            began: now,
            ended: now,
            exchanges: vec![exchange(true, Err(Broken::Refused))],
            answer: Err(Said {
                kind: ErrorKind::Unavailable,
                line: "refused".into(),
                debug: "Refused".into(),
            }),
            failing: true,
            status: "fine".into(),
            restarts: 0,
            way: Way::Alone,
            logged: String::new(),
        }
    }

    const IN_TROUBLE: Around = Around {
        now: Duration::ZERO,
        began: Duration::ZERO,
        well_since: None,
        jumps: 0,
    };

    #[track_caller]
    fn breaks(invariant: Invariant, judge: &mut Judge, call: &Call, around: Around) {
        let found = judge
            .call(call, around)
            .map(|violation| violation.invariant);
        assert_eq!(found, Some(invariant));
    }

    #[test]
    fn a_failure_under_a_fault_is_all_right() {
        assert_eq!(judge().call(&failed(), IN_TROUBLE), None);
    }

    #[test]
    fn a_request_without_a_token_is_found() {
        let mut call = failed();
        call.exchanges = vec![exchange(false, Err(Broken::Refused))];
        breaks(Invariant::NoImdsv1, &mut judge(), &call, IN_TROUBLE);
    }

    #[test]
    fn a_flood_is_found() {
        let mut call = failed();
        call.exchanges = (0..19).map(|_| exchange(true, Err(Broken::Late))).collect();
        breaks(Invariant::BoundedRequests, &mut judge(), &call, IN_TROUBLE);
    }

    #[test]
    fn an_emulator_that_is_wrong_is_found() {
        let mut call = failed();
        for exchange in &mut call.exchanges {
            exchange.exchanged.wrong = Some("so".into());
        }
        breaks(Invariant::Emulator, &mut judge(), &call, IN_TROUBLE);
    }

    #[test]
    fn a_sandbox_that_began_anew_is_found() {
        let mut call = failed();
        call.restarts = 1;
        breaks(Invariant::Sandbox, &mut judge(), &call, IN_TROUBLE);
    }

    #[test]
    fn what_grows_is_found() {
        let mut call = failed();
        call.status = "x".repeat(HELD + 1);
        breaks(Invariant::FlatMemory, &mut judge(), &call, IN_TROUBLE);
    }

    #[test]
    fn a_secret_that_shows_is_found_wherever_it_does() {
        let answer = || Answer {
            status: 500,
            headers: HeaderMap::new(),
            body: Bytes::from(format!(r#"{{"SecretAccessKey":"{SECRET}"}}"#)),
        };
        let shown = format!("this is {SECRET}");
        for place in ["line", "debug", "status", "log"] {
            let mut call = failed();
            call.exchanges = vec![exchange(true, Ok(answer()))];
            match (place, &mut call.answer) {
                ("line", Err(said)) => said.line.clone_from(&shown),
                ("debug", Err(said)) => said.debug.clone_from(&shown),
                ("log", _) => call.logged.clone_from(&shown),
                _ => call.status.clone_from(&shown),
            }
            breaks(Invariant::NoSecrets, &mut judge(), &call, IN_TROUBLE);
        }
    }

    #[test]
    fn credentials_that_are_over_are_found() {
        let mut call = failed();
        call.answer = Ok(given(&call));
        assert_eq!(judge().answer(&call, IN_TROUBLE), Ok(()));
        call.ended.wall += Duration::from_secs(1);
        let verdict = judge().answer(&call, IN_TROUBLE);
        assert!(matches!(verdict, Err((Invariant::NothingExpired, _))));
    }

    #[test]
    fn who_fails_while_all_is_well_is_found() {
        let around = Around {
            well_since: Some(Duration::ZERO),
            ..IN_TROUBLE
        };
        breaks(
            Invariant::NoExtensionInHealth,
            &mut judge(),
            &failed(),
            around,
        );
    }

    #[test]
    fn who_does_not_recover_is_found() {
        let mut judge = judge();
        assert_eq!(judge.call(&failed(), IN_TROUBLE), None);
        // The same error for a second, without a request.
        let mut call = failed();
        call.exchanges.clear();
        let at = |began| Around {
            now: began,
            began,
            well_since: Some(Duration::ZERO),
            ..IN_TROUBLE
        };
        assert_eq!(judge.call(&call, at(Duration::from_secs(15 * 60))), None);
        breaks(Invariant::Recovery, &mut judge, &call, at(RECOVERY));
    }

    fn given(call: &Call) -> Given {
        let expires = call.ended.wall.as_secs() + 1;
        Given {
            access_key_id: "id".into(),
            secret_access_key: "secret".into(),
            session_token: "token".into(),
            expires,
            refresh_after: expires,
        }
    }

    fn document(body: &'static str) -> Answer {
        Answer {
            status: 200,
            headers: HeaderMap::new(),
            body: Bytes::from(body),
        }
    }

    fn in_the_background() -> Judge {
        Judge {
            model: None,
            ..judge()
        }
    }

    #[test]
    fn credentials_that_imds_did_not_give_are_found() {
        let mut call = failed();
        call.answer = Ok(given(&call));
        let mut judge = in_the_background();
        breaks(Invariant::Known, &mut judge, &call, IN_TROUBLE);
        let body = r#"{"SecretAccessKey":"secret","Token":"token"}"#;
        call.exchanges = vec![exchange(true, Ok(document(body)))];
        assert_eq!(judge.call(&call, IN_TROUBLE), None);
    }

    #[test]
    fn a_background_in_which_nothing_happens_is_found() {
        let mut call = failed();
        let body = r#"{"SecretAccessKey":"secret","Token":"token"}"#;
        call.answer = Ok(given(&call));
        call.failing = false;
        let mut judge = in_the_background();
        for time in 0..3 {
            let began = RECOVERY + Duration::from_secs(3600 * time);
            let mut exchange = exchange(true, Ok(document(body)));
            exchange.began = began;
            call.exchanges = vec![exchange];
            let around = Around {
                now: began,
                began,
                well_since: Some(Duration::ZERO),
                // One reason, besides the first time.
                jumps: 1,
            };
            match time {
                2 => breaks(Invariant::Background, &mut judge, &call, around),
                _ => assert_eq!(judge.call(&call, around), None),
            }
        }
    }

    #[test]
    fn an_answer_that_the_model_has_otherwise_is_found() {
        let mut call = failed();
        call.exchanges.clear();
        breaks(Invariant::Model, &mut judge(), &call, IN_TROUBLE);
    }
}
