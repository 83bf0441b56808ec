//! Compares what was seen with what a scenario expects.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use imds_emulator::RoleKeys;
use imds_emulator::journal::Report;
use serde::Serialize;

use crate::client::{Answer, Failed};
use crate::scenario::{Get, Gives, Metadata, Scenario, Step};

/// What was seen of a client in a scenario.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// For each step that was reached.
    pub steps: Vec<SeenStep>,
    /// The journal at the end.
    pub journal: Option<Report>,
    /// What the client wrote in addition to its answers.
    pub said: String,
    /// The credentials that IMDS issued.
    pub keys: Vec<RoleKeys>,
}

/// What was seen of a step.
#[derive(Clone, Debug)]
pub enum SeenStep {
    /// Answers to `get`.
    Got {
        /// One for each caller.
        answers: Vec<Answer>,
        /// How long it took.
        elapsed: Duration,
        /// The access key IDs that IMDS issued before and after.
        current: [Option<String>; 2],
        /// When the answers had arrived, on the client's clock.
        now: DateTime<Utc>,
    },
    /// The answer to `metadata`.
    Metadata {
        /// The answer.
        answer: Result<String, Failed>,
        /// How long it took.
        elapsed: Duration,
    },
    /// There was no answer.
    Hung {
        /// How long the runner waited.
        elapsed: Duration,
    },
    /// The journal.
    Journal(Report),
    /// A step without a result.
    Done,
    /// The step could not be executed.
    Failed(String),
}

/// An expectation, and whether it was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The step, counted from 1, or `None` for the end of the scenario.
    pub step: Option<usize>,
    /// Whether it was met.
    pub holds: bool,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
}

/// How long an answer may take if the scenario does not state it.
pub const PATIENCE: TimeDelta = TimeDelta::seconds(15);

/// How much the clocks of two programs may differ.
const TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// Compares what was seen with what `scenario` expects.
pub fn judge(scenario: &Scenario, seen: &Seen) -> Vec<Finding> {
    let mut judge = Judge::default();
    for (at, step) in scenario.steps().iter().enumerate() {
        judge.step(at + 1, step, seen.steps.get(at));
    }
    match &seen.journal {
        Some(report) => judge.journal(None, report),
        None => {
            for assertion in scenario.journal() {
                let expected = assertion.to_string();
                judge.find(None, false, expected, NOT_REACHED.into());
            }
        }
    }
    judge.hygiene(scenario, seen);
    judge.findings
}

/// What was seen where an expectation was met.
pub(crate) const AS_EXPECTED: &str = "as expected";

const NOT_REACHED: &str = "the scenario stopped before";

#[derive(Default)]
struct Judge {
    findings: Vec<Finding>,
    /// The access key IDs that the client has returned so far.
    given: Vec<String>,
}

impl Judge {
    fn find(&mut self, step: Option<usize>, holds: bool, expected: String, seen: String) {
        self.findings.push(Finding {
            step,
            holds,
            expected,
            seen,
        });
    }

    /// Adds the finding of a step that went as expected, or wrong in this way.
    fn find_wrong(&mut self, at: usize, expected: String, wrong: Option<String>) {
        let holds = wrong.is_none();
        let seen = wrong.unwrap_or_else(|| AS_EXPECTED.into());
        self.find(Some(at), holds, expected, seen);
    }

    fn step(&mut self, at: usize, step: &Step, seen: Option<&SeenStep>) {
        match (step, seen) {
            (
                Step::Get(get),
                Some(SeenStep::Got {
                    answers,
                    elapsed,
                    current,
                    now,
                }),
            ) => {
                self.get(at, get, answers, *elapsed, current, *now);
            }
            (Step::Metadata(metadata), Some(SeenStep::Metadata { answer, elapsed })) => {
                self.metadata(at, metadata, answer, *elapsed);
            }
            (Step::Journal(_), Some(SeenStep::Journal(report))) => self.journal(Some(at), report),
            (
                Step::Get(_) | Step::Metadata(_) | Step::Reject(_),
                Some(SeenStep::Hung { elapsed }),
            ) => {
                let seen = format!("no answer within {elapsed:.1?}");
                self.find(Some(at), false, step.to_string(), seen);
            }
            (_, Some(SeenStep::Failed(why))) => {
                self.find(Some(at), false, step.to_string(), why.clone());
            }
            (Step::Get(_) | Step::Metadata(_), _) => {
                self.find(Some(at), false, step.to_string(), NOT_REACHED.into());
            }
            (Step::Journal(assertions), _) => {
                for assertion in assertions {
                    let expected = assertion.to_string();
                    self.find(Some(at), false, expected, NOT_REACHED.into());
                }
            }
            _ => {}
        }
    }

    fn get(
        &mut self,
        at: usize,
        get: &Get,
        answers: &[Answer],
        elapsed: Duration,
        current: &[Option<String>; 2],
        now: DateTime<Utc>,
    ) {
        let wrong = answers
            .iter()
            .find_map(|answer| self.wrong(get, answer, current, now))
            .or_else(|| late(elapsed, get.within.map(TimeDelta::from)));
        self.given.extend(
            answers
                .iter()
                .flatten()
                .map(|given| given.access_key_id.clone()),
        );
        let expected = Step::Get(get.clone()).to_string();
        self.find_wrong(at, expected, wrong);
    }

    fn wrong(
        &self,
        get: &Get,
        answer: &Answer,
        current: &[Option<String>; 2],
        now: DateTime<Utc>,
    ) -> Option<String> {
        let given = match (answer, get.gives) {
            (Err(failed), _) if failed.broken => return Some(format!("no answer: {failed}")),
            (Err(failed), Gives::Nothing) => return wrong_kind(failed, get.error.as_deref()),
            (Err(failed), _) => return Some(format!("an error: {failed}")),
            (Ok(given), Gives::Nothing) => {
                return Some(format!("credentials ({})", given.access_key_id));
            }
            (Ok(given), _) => given,
        };
        let id = &given.access_key_id;
        let wrong = match get.gives {
            Gives::Current if !current.iter().flatten().any(|current| current == id) => {
                Some(match self.given.contains(id) {
                    true => format!("{id}, the same as before, which IMDS has replaced"),
                    false => format!("{id}, which IMDS does not currently issue"),
                })
            }
            Gives::Same if self.given.last().is_some_and(|last| last != id) => {
                Some(format!("other credentials ({id})"))
            }
            Gives::New if self.given.contains(id) => {
                Some(format!("the same credentials as before ({id})"))
            }
            _ => None,
        };
        let ended = match given.expires {
            Some(expires) if get.valid && expires + TOLERANCE < now => Some(format!(
                "{id}, which expired {} s ago according to the client",
                (now - expires).num_seconds()
            )),
            _ => None,
        };
        wrong.or(ended)
    }

    fn metadata(
        &mut self,
        at: usize,
        metadata: &Metadata,
        answer: &Result<String, Failed>,
        elapsed: Duration,
    ) {
        let wrong = match (answer, &metadata.gives) {
            (Ok(value), Some(expected)) if value == expected => None,
            (Ok(value), _) => Some(format!("{value:?}")),
            (Err(failed), _) if failed.broken => Some(format!("no answer: {failed}")),
            (Err(failed), None) => wrong_kind(failed, metadata.error.as_deref()),
            (Err(failed), Some(_)) => Some(format!("an error: {failed}")),
        };
        let wrong = wrong.or_else(|| late(elapsed, metadata.within.map(TimeDelta::from)));
        let expected = Step::Metadata(metadata.clone()).to_string();
        self.find_wrong(at, expected, wrong);
    }

    fn journal(&mut self, step: Option<usize>, report: &Report) {
        for verdict in &report.verdicts {
            let expected = verdict.assertion.to_string();
            self.find(step, verdict.holds, expected, verdict.why.clone());
        }
    }

    /// An expectation of every scenario: the client writes no secret.
    fn hygiene(&mut self, scenario: &Scenario, seen: &Seen) {
        let mut planted = scenario.secrets().iter();
        let planted = planted.any(|secret| seen.said.contains(secret.as_str()));
        let leaked = secret(seen).or_else(|| planted.then_some("a secret of the scenario"));
        let text = match leaked {
            Some(what) => format!("the client wrote {what}"),
            None => AS_EXPECTED.into(),
        };
        let expected = "no secret in logs and error messages";
        self.find(None, leaked.is_none(), expected.into(), text);
    }
}

fn wrong_kind(failed: &Failed, kinds: Option<&[String]>) -> Option<String> {
    match (&failed.kind, kinds) {
        (Some(kind), Some(kinds)) if !kinds.contains(kind) => {
            Some(format!("another error: {failed}"))
        }
        _ => None,
    }
}

fn late(elapsed: Duration, within: Option<TimeDelta>) -> Option<String> {
    let within = within.unwrap_or(PATIENCE).to_std().unwrap_or_default();
    (elapsed > within).then(|| format!("an answer after {elapsed:.1?}"))
}

/// A secret in what the client wrote.
fn secret(seen: &Seen) -> Option<&'static str> {
    // All session tokens begin with the same characters.
    let part = |token: &str| token.chars().skip(20).take(40).collect::<String>();
    let leaked = seen.keys.iter().find_map(|keys| {
        [
            ("the secret access key", keys.secret_access_key.clone()),
            ("the session token", part(&keys.session_token)),
        ]
        .into_iter()
        .find(|(_, secret)| !secret.is_empty() && seen.said.contains(secret))
        .map(|(what, _)| what)
    });
    // All tokens of the emulator begin in one of these ways [I11].
    let has_token = ["AQAEA", "AQAAA"].iter().any(|it| seen.said.contains(it));
    leaked.or_else(|| has_token.then_some("an IMDS token"))
}

/// `text` without the secrets of these credentials.
pub(crate) fn redacted(text: &str, keys: &[RoleKeys]) -> String {
    let mut text = text.to_owned();
    for keys in keys {
        for secret in [&keys.secret_access_key, &keys.session_token] {
            text = text.replace(secret.as_str(), "[secret]");
        }
    }
    text
}
