//! Runs clients through scenarios.

mod stage;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use imds_emulator::Emulator;
use imds_emulator::report::picture::Trace;
use serde::Serialize;

use self::stage::Stage;
use crate::client::{Driver, Offers, Time, Unable, World};
use crate::clock::Shared;
use crate::judge::{self, Finding, Seen};
use crate::scenario::Scenario;

/// The outcome of a scenario for a client.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The client's name.
    pub client: String,
    /// The scenario's id.
    pub scenario: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Each expectation, and whether it was met.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub milliseconds: u64,
    /// What happened.
    pub trace: Trace,
}

/// Whether a client met the expectations of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "kebab-case")]
pub enum Verdict {
    /// The client met all of them.
    Passed,
    /// The client did not.
    Failed,
    /// The scenario was not run, for this reason.
    NotRun(String),
}

/// How scenarios are run.
#[derive(Clone, Copy, Debug)]
pub struct Runner {
    /// The seed for everything random.
    pub seed: u64,
    /// The number of scenarios that run at once.
    pub jobs: usize,
    /// Whether commands run in a network in which the emulator has the addresses of IMDS, and which has
    /// nothing else. Works on Linux only.
    pub isolated: bool,
}

impl Default for Runner {
    fn default() -> Self {
        Self {
            seed: 0,
            jobs: 16,
            isolated: false,
        }
    }
}

impl Runner {
    /// Runs each client through each scenario, and calls `done` after each. The outcomes are in the order
    /// of the clients and then of the scenarios.
    pub async fn run(
        self,
        drivers: &[Arc<dyn Driver>],
        scenarios: &[Arc<Scenario>],
        mut done: impl FnMut(&Outcome),
    ) -> Vec<Outcome> {
        // Long scenarios first, so that the run does not end with one of them alone.
        let mut order: Vec<_> = scenarios.iter().enumerate().collect();
        order.sort_by_key(|(_, scenario)| Reverse(scenario.may_take()));
        let pairs = drivers.iter().enumerate().flat_map(|(column, driver)| {
            order.iter().map(move |(row, scenario)| {
                let (driver, scenario, row) = (Arc::clone(driver), Arc::clone(scenario), *row);
                async move {
                    let run = async move { self.run_one(&*driver, &scenario).await };
                    ((column, row), tokio::spawn(run).await)
                }
            })
        });
        let mut outcomes = Vec::new();
        let mut running = stream::iter(pairs).buffer_unordered(self.jobs.max(1));
        while let Some((place, outcome)) = running.next().await {
            // A client written in Rust may panic.
            if let Ok((outcome, _)) = outcome {
                done(&outcome);
                outcomes.push((place, outcome));
            } else if let Some((driver, scenario)) = place_of(drivers, scenarios, place) {
                let outcome = panicked(driver.name(), &scenario.id);
                done(&outcome);
                outcomes.push((place, outcome));
            }
        }
        outcomes.sort_by_key(|(place, _)| *place);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Runs a client through a scenario. The caller can judge what was seen again.
    pub async fn run_one(self, driver: &dyn Driver, scenario: &Scenario) -> (Outcome, Seen) {
        let start = Instant::now();
        let mut outcome = Outcome {
            client: driver.name().to_owned(),
            scenario: scenario.id.clone(),
            verdict: Verdict::Passed,
            findings: Vec::new(),
            milliseconds: 0,
            trace: Trace::default(),
        };
        if let Some(reason) = missing(driver.offers(), scenario) {
            outcome.verdict = Verdict::NotRun(reason);
            return (outcome, Seen::default());
        }
        let seen = match Stage::set(self.seed, self.isolated, scenario).await {
            Ok(stage) => {
                let (seen, trace) = stage.play(driver, scenario).await;
                outcome.trace = trace;
                seen
            }
            Err(error) => {
                outcome.verdict = Verdict::NotRun(format!("cannot start the emulator: {error}"));
                return (outcome, Seen::default());
            }
        };
        outcome.findings = judge::judge(scenario, &seen);
        for finding in &mut outcome.findings {
            finding.seen = judge::redacted(&finding.seen, &seen.keys);
        }
        let failed = |finding: &&Finding| !finding.holds;
        for finding in outcome.findings.iter().filter(failed) {
            outcome.verdict = Verdict::Failed;
            for call in &mut outcome.trace.calls {
                call.unexpected |= finding.step == Some(call.step);
            }
        }
        outcome.milliseconds = milliseconds(start.elapsed());
        (outcome, seen)
    }
}

/// A world with a healthy IMDS, to try a client in. The emulator stops when the world and it are
/// dropped.
///
/// # Errors
///
/// [`Unable`] if the emulator cannot listen.
pub async fn world(isolated: bool) -> Result<(World, Arc<Emulator>), Unable> {
    let clock = Shared::running();
    let unable = |error: imds_emulator::StartError| Unable(error.to_string());
    let builder = Emulator::builder().clock(clock.emulator());
    let emulator = Arc::new(builder.start().await.map_err(unable)?);
    Ok((new_world(&emulator, clock, 0, isolated), emulator))
}

fn new_world(emulator: &Arc<Emulator>, clock: Shared, seed: u64, isolated: bool) -> World {
    // The clients get no other variables of this kind, so there is nothing to remove. An isolated client
    // gets none, as on an instance.
    let set = match isolated {
        true => Vec::new(),
        false => emulator.variables().set,
    };
    World {
        endpoint: match isolated {
            true => "http://169.254.169.254".to_owned(),
            false => emulator.url().to_owned(),
        },
        env: set
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        clock,
        seed,
        isolated: isolated.then(|| Arc::clone(emulator)),
    }
}

type Place = (usize, usize);

fn place_of<'a>(
    drivers: &'a [Arc<dyn Driver>],
    scenarios: &'a [Arc<Scenario>],
    (column, row): Place,
) -> Option<(&'a dyn Driver, &'a Scenario)> {
    Some((&**drivers.get(column)?, scenarios.get(row)?))
}

fn panicked(client: &str, scenario: &str) -> Outcome {
    Outcome {
        client: client.to_owned(),
        scenario: scenario.to_owned(),
        verdict: Verdict::Failed,
        findings: vec![Finding {
            step: None,
            holds: false,
            expected: "an answer".into(),
            seen: "the client panicked".into(),
        }],
        milliseconds: 0,
        trace: Trace::default(),
    }
}

/// A requirement of the scenario that the client does not support.
fn missing(offers: Offers, scenario: &Scenario) -> Option<String> {
    let missing = [
        (
            scenario.needs_session() && !offers.session,
            "the client answers only one question",
        ),
        (
            scenario.needs_time() && offers.time == Time::Machine,
            "the client's clock cannot be moved",
        ),
        (
            scenario.needs_concurrency() && !offers.concurrent,
            "the client does not support concurrent callers",
        ),
        (
            scenario.needs_reject() && !offers.reject,
            "the client does not support `reject`",
        ),
        (
            scenario.needs_metadata() && !offers.metadata,
            "the client does not support `metadata`",
        ),
        (
            scenario.group() == "settings" && !offers.settings,
            "the client does not read its settings from the scenario's environment",
        ),
    ];
    let reason = missing.into_iter().find(|(missing, _)| *missing);
    reason.map(|(_, reason)| reason.to_owned())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
