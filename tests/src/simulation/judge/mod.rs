//! Checks the invariants after every call of every client.

mod invariant;

use std::collections::VecDeque;
use std::time::Duration;

use ec2_role_component::config::{Imdsv1Policy, Options};
use ec2_role_host::RefreshPolicy;

pub use self::invariant::{Invariant, Violation};
use super::client::{Call, Exchange, ReportedError, Served};
use super::machine::Moment;
use super::model::{Model, Rules};
use super::schedule::Readable;
use super::server::TTL;

/// A call for credentials requests a token, a list and a document. It requests two of these again after a 401, and list
/// and document three times if a role was removed. It retries failures. So a client may send `REQUESTS` for each of its
/// attempts at once, and `MORE`. A client rests for a second after a failed call and backs off after a failed attempt,
/// so it may send `RATE` requests per second after that.
const REQUESTS: f64 = 4.0;
const MORE: f64 = 6.0;
const RATE: f64 = 5.0;

/// How long a client may need to recover: it rests for up to 15 minutes after a failure, and the last call during the
/// fault takes time, too.
const RECOVERY: Duration = Duration::from_secs(15 * 60 + 30);

/// The longest status of a client, as text.
const HELD: usize = 4096;

/// The number of recent secrets that must not appear in any output.
const SECRETS: usize = 12;

/// The number of recent documents that are remembered.
const KNOWN: usize = 100;

/// The most bytes of a secret that are searched for. The standard library prepares the search for a longer text, which
/// takes longer than the search.
const END: usize = 32;

/// Judges one client from its start to its end.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) client: usize,
    rules: Rules,
    imdsv1: Imdsv1Policy,
    /// `None` with refreshes in the background, which a model cannot follow.
    model: Option<Model>,
    /// The end of each recent secret. All tokens begin in the same way.
    secrets: VecDeque<String>,
    /// The secret key and the token of each document that IMDS sent.
    known: VecDeque<[String; 2]>,
    /// The size of the token bucket, and the tokens left in it.
    burst: f64,
    tokens: f64,
    filled: Duration,
    /// Whether the last request for a token was refused.
    refused: bool,
    rejected: bool,
    /// Refreshes that a caller triggered while IMDS was healthy, although refreshes run in the background.
    begun: u64,
    /// Legitimate reasons for such refreshes.
    reasons: u64,
}

/// The state of the world at a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorldState {
    pub(super) now: Duration,
    /// When the call began.
    pub(super) began: Duration,
    /// Since when no incident is in progress.
    pub(super) healthy_since: Option<Duration>,
    /// How often a clock was set or a machine was suspended.
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

    pub(super) fn call(&mut self, call: &Call, state: WorldState) -> Option<Violation> {
        let verdict = self
            .exchanges(&call.exchanges)
            .and_then(|()| {
                must(call.restarts == 0, Invariant::Sandbox, || {
                    format!("{} restarts: {:?}", call.restarts, call.result)
                })
            })
            .and_then(|()| {
                let held = call.status.len();
                must(held <= HELD, Invariant::FlatMemory, || {
                    format!("the status has {held} bytes")
                })
            })
            .and_then(|()| self.secrets(call.result.as_ref().err(), &call.status, &call.logged))
            .and_then(|()| match &mut self.model {
                Some(model) => {
                    let checked = model.check(call);
                    checked.map_err(|seen| (Invariant::Model, seen))
                }
                None => self.in_the_background(call, state),
            })
            .and_then(|()| self.result(call, state));
        if !call.exchanges.is_empty() {
            self.rejected = false;
        }
        self.violation(verdict, state.now)
    }

    pub(super) fn other(
        &mut self,
        exchanges: &[Exchange],
        said: Option<&ReportedError>,
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
            // Requests for other metadata are not limited.
            if exchange.put || exchange.path.contains("/security-credentials") {
                self.tokens -= 1.0;
            }
            must(self.tokens >= 0.0, Invariant::BoundedRequests, || {
                format!("one request too many: {exchange}")
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
                    .map(|response| response.status);
                self.refused = matches!(status, Ok(403..=405));
                continue;
            }
            let allowed = match self.imdsv1 {
                Imdsv1Policy::Never => false,
                Imdsv1Policy::OnRefusal => self.refused,
                Imdsv1Policy::OnAnyFailure => true,
            };
            must(exchange.has_token || allowed, Invariant::NoImdsv1, || {
                exchange.to_string()
            })?;
        }
        Ok(())
    }

    /// Remembers the secrets in a response.
    fn remember(&mut self, exchange: &Exchange) {
        let Ok(response) = &exchange.exchanged.outcome else {
            return;
        };
        if exchange.put && response.headers.contains_key(TTL) {
            self.add_secret(&String::from_utf8_lossy(&response.body));
            return;
        }
        let Some(document) = response.json() else {
            return;
        };
        let text = |name: &str| document.value.get(name)?.as_str();
        let secrets = ["SecretAccessKey", "Token"].map(text);
        for secret in secrets.into_iter().flatten() {
            self.add_secret(secret);
        }
        if let ([Some(key), Some(token)], None) = (secrets, &self.model) {
            let pair = [key, token];
            if !self.known.iter().any(|known| *known == pair) {
                if self.known.len() == KNOWN {
                    self.known.pop_front();
                }
                self.known.push_back(pair.map(str::to_owned));
            }
        }
    }

    fn add_secret(&mut self, secret: &str) {
        // Shorter texts are not secrets, and could appear anywhere.
        if secret.len() < 16 {
            return;
        }
        let begin = secret.ceil_char_boundary(secret.len().saturating_sub(END));
        let end = secret.get(begin..).unwrap_or(secret);
        if self.secrets.iter().any(|known| known == end) {
            return;
        }
        if self.secrets.len() == SECRETS {
            self.secrets.pop_front();
        }
        self.secrets.push_back(end.to_owned());
    }

    fn secrets(&self, said: Option<&ReportedError>, status: &str, logged: &str) -> Verdict {
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

    /// Checks a call without a model.
    fn in_the_background(&mut self, call: &Call, state: WorldState) -> Verdict {
        if let Ok(given) = &call.result {
            let is_known = self.known.iter().any(|[key, token]| {
                *key == given.secret_access_key && *token == given.session_token
            });
            must(is_known, Invariant::Known, || format!("{given:?}"))?;
        }
        let Some(healthy_since) = state.healthy_since else {
            return Ok(());
        };
        let began_it = call
            .exchanges
            .first()
            .is_some_and(|exchange| exchange.began >= state.began);
        if began_it && state.began >= healthy_since + RECOVERY {
            self.begun += 1;
            // One more for the very first refresh.
            let most = self.reasons + state.jumps + 1;
            return must(self.begun <= most, Invariant::Background, || {
                format!(
                    "a caller triggered a refresh {} times; at most {most}",
                    self.begun
                )
            });
        }
        Ok(())
    }

    fn result(&self, call: &Call, state: WorldState) -> Verdict {
        let extensions = match &self.model {
            Some(model) => model.extensions(),
            None => u32::from(call.failing),
        };
        if let Ok(given) = &call.result {
            let now = call.ended.wall;
            let is_expired = Duration::from_secs(given.expires) <= now;
            let may_extend =
                self.rules.policy == RefreshPolicy::Windowed && (extensions > 0 || self.rejected);
            must(!is_expired || may_extend, Invariant::NothingExpired, || {
                format!("{given:?} at {now:?}")
            })?;
            let expires = self.model.as_ref().and_then(Model::document_expires);
            if let (Some(most), Some(expires)) = (self.rules.max_extension, expires) {
                let bound = expires + most.as_secs_f64();
                must(
                    extensions == 0 || now.as_secs_f64() < bound,
                    Invariant::NothingExpired,
                    || format!("{given:?} at {now:?}, beyond the bound of {bound}"),
                )?;
            }
        }
        let Some(healthy_since) = state.healthy_since else {
            return Ok(());
        };
        // A call that was in progress may have met the fault. A call without a request may rest after it.
        let first = call.exchanges.first();
        if state.began >= healthy_since && first.is_some_and(|first| first.began >= healthy_since) {
            must(
                extensions == 0 && call.result.is_ok(),
                Invariant::NoExtensionInHealth,
                || {
                    let exchanges: Vec<String> =
                        call.exchanges.iter().map(ToString::to_string).collect();
                    format!("{:?} after {}", call.result, exchanges.join(", "))
                },
            )?;
        }
        // During the refresh of another caller, the status is not yet updated.
        let is_healthy =
            call.result.is_ok() && (!call.failing || call.served == Served::DuringRefresh);
        must(
            state.began < healthy_since + RECOVERY || is_healthy,
            Invariant::Recovery,
            || {
                format!(
                    "healthy since {}, but {:?}",
                    Readable(healthy_since),
                    call.result
                )
            },
        )
    }
}

#[cfg(test)]
mod tests;
