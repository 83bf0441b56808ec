//! Runs clients through scenarios.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use imds_emulator::journal::Exchange;
use imds_emulator::{Command, Emulator};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use crate::client::{Answer, Client, Driver, Failed, Offers, Time, Unable, World};
use crate::clock::Shared;
use crate::judge::{self, Finding, PATIENCE, Seen, SeenStep};
use crate::scenario::{Cleared, Rejected, Scenario, Step};
use crate::trace::{Call, Mark, Request, Span, Trace};

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
}

impl Default for Runner {
    fn default() -> Self {
        Self { seed: 0, jobs: 16 }
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
        let seen = match Stage::set(self.seed, scenario).await {
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
        outcome.findings = judge::judge(scenario, &seen, None);
        for finding in &mut outcome.findings {
            finding.seen = judge::redacted(&finding.seen, &seen.keys);
        }
        if outcome.findings.iter().any(|finding| !finding.holds) {
            outcome.verdict = Verdict::Failed;
        }
        outcome.milliseconds = milliseconds(start.elapsed());
        (outcome, seen)
    }
}

/// A world with a healthy IMDS, to try a client in. The emulator stops when it is dropped.
///
/// # Errors
///
/// [`Unable`] if the emulator cannot listen.
pub async fn world() -> Result<(World, Emulator), Unable> {
    let clock = Shared::running();
    let unable = |error: imds_emulator::StartError| Unable(error.to_string());
    let builder = Emulator::builder().clock(clock.emulator());
    let emulator = builder.start().await.map_err(unable)?;
    let world = World {
        endpoint: emulator.url().to_owned(),
        env: variables(&emulator),
        clock,
        seed: 0,
    };
    Ok((world, emulator))
}

fn variables(emulator: &Emulator) -> std::collections::BTreeMap<String, String> {
    emulator
        .variables()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
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

/// A scenario in progress: the emulator, the clock, and what was seen so far.
struct Stage {
    emulator: Emulator,
    follow: Receiver<Arc<Exchange>>,
    world: World,
    start: Instant,
    /// Each move of the clock: when, in real milliseconds since the start, and by how much.
    moves: Vec<(u64, u64)>,
    seen: Seen,
    trace: Trace,
    exchanges: Vec<Arc<Exchange>>,
    /// The access key ID that the client returned last.
    last: Option<String>,
}

/// The emulator needs this time to notice that a client abandoned a request.
const SETTLE: Duration = Duration::from_millis(50);

impl Stage {
    async fn set(seed: u64, scenario: &Scenario) -> Result<Self, imds_emulator::StartError> {
        let mut hasher = DefaultHasher::new();
        (seed, &scenario.id).hash(&mut hasher);
        let seed = hasher.finish();
        let clock = Shared::running();
        let mut bytes = [0; 32];
        if let Some(start) = bytes.first_chunk_mut() {
            *start = seed.to_le_bytes();
        }
        let emulator = Emulator::builder()
            .config(scenario.config.clone())
            .bind(([127, 0, 0, 1], 0).into())
            .clock(clock.emulator())
            .seed(bytes)
            .start()
            .await?;
        let start = Instant::now();
        let mut env = variables(&emulator);
        for (name, value) in scenario.env() {
            let value = value
                .replace("{endpoint}", emulator.url())
                .replace("{authority}", &emulator.address().to_string())
                .replace("{elsewhere}", &elsewhere());
            env.insert(name.clone(), value);
        }
        let world = World {
            endpoint: emulator.url().to_owned(),
            env,
            clock,
            seed,
        };
        let mut stage = Self {
            follow: emulator.follow(),
            emulator,
            world,
            start,
            moves: Vec::new(),
            seen: Seen::default(),
            trace: Trace::default(),
            exchanges: Vec::new(),
            last: None,
        };
        for rule in &scenario.config.faults {
            stage.trace.faults.push(Span {
                name: rule.name.clone(),
                from: 0,
                to: u64::MAX,
            });
        }
        stage.note_keys();
        Ok(stage)
    }

    async fn play(mut self, driver: &dyn Driver, scenario: &Scenario) -> (Seen, Trace) {
        let mut client: Box<dyn Client> = match driver.start(&self.world).await {
            Ok(client) => client,
            // The settings of the scenario may be the reason.
            Err(error) => Box::new(NotStarted(error)),
        };
        for (at, step) in scenario.steps().iter().enumerate() {
            let seen = self.step(&mut *client, at + 1, step).await;
            self.collect();
            self.note_keys();
            let stop = matches!(seen, SeenStep::Hung { .. } | SeenStep::Failed(_));
            self.seen.steps.push(seen);
            if stop {
                break;
            }
        }
        if self.seen.steps.len() == scenario.steps().len() {
            tokio::time::sleep(SETTLE).await;
            self.seen.journal = self.emulator.verify(scenario.journal()).ok();
        }
        self.seen.said = client.said().await;
        drop(client);
        self.collect();
        self.end()
    }

    async fn step(&mut self, client: &mut dyn Client, number: usize, step: &Step) -> SeenStep {
        match step {
            Step::Get(get) => {
                let before = self.current();
                let from = self.moment();
                let begun = Instant::now();
                let patience = patience(get.within.map(TimeDelta::from));
                let question = match get.concurrent {
                    1 => "get".to_owned(),
                    callers => format!("get × {callers}"),
                };
                let answers = match tokio::time::timeout(patience, client.get(get.concurrent)).await
                {
                    Ok(answers) => answers,
                    Err(_) => {
                        self.call(number, from, question, "no answer".into(), false);
                        return SeenStep::Hung {
                            elapsed: begun.elapsed(),
                        };
                    }
                };
                let elapsed = begun.elapsed();
                let (text, ok) = summary(&answers);
                self.call(number, from, question, text, ok);
                if let Some(Ok(given)) = answers.last() {
                    self.last = Some(given.access_key_id.clone());
                }
                SeenStep::Got {
                    answers,
                    elapsed,
                    current: [before, self.current()],
                    now: self.world.clock.emulator().now(),
                }
            }
            Step::Metadata(metadata) => {
                let from = self.moment();
                let begun = Instant::now();
                let patience = patience(metadata.within.map(TimeDelta::from));
                let question = format!("metadata {}", metadata.path);
                match tokio::time::timeout(patience, client.metadata(&metadata.path)).await {
                    Ok(answer) => {
                        let text = match &answer {
                            Ok(value) => value.clone(),
                            Err(failed) => failed.to_string(),
                        };
                        self.call(number, from, question, text, answer.is_ok());
                        SeenStep::Metadata {
                            answer,
                            elapsed: begun.elapsed(),
                        }
                    }
                    Err(_) => {
                        self.call(number, from, question, "no answer".into(), false);
                        SeenStep::Hung {
                            elapsed: begun.elapsed(),
                        }
                    }
                }
            }
            Step::Reject(rejected) => {
                let id = match rejected {
                    Rejected::Last => self.last.clone().unwrap_or_default(),
                    Rejected::Other => "ASIAOFSOMEBODYELSE00".to_owned(),
                };
                let from = self.moment();
                let begun = Instant::now();
                let answered = tokio::time::timeout(patience(None), client.reject(&id)).await;
                let Ok(answer) = answered else {
                    self.call(number, from, "reject".into(), "no answer".into(), false);
                    return SeenStep::Hung {
                        elapsed: begun.elapsed(),
                    };
                };
                let text = match &answer {
                    Ok(()) => "ok".to_owned(),
                    Err(failed) => failed.to_string(),
                };
                self.call(number, from, "reject".into(), text, answer.is_ok());
                match answer {
                    Ok(()) => SeenStep::Done,
                    Err(failed) => SeenStep::Failed(failed.to_string()),
                }
            }
            Step::Advance(by) => {
                self.mark(step.to_string());
                self.move_clock(client, TimeDelta::from(*by)).await
            }
            Step::SetBack(by) => {
                self.mark(step.to_string());
                self.move_clock(client, -TimeDelta::from(*by)).await
            }
            Step::Wait(time) => {
                tokio::time::sleep(TimeDelta::from(*time).to_std().unwrap_or_default()).await;
                SeenStep::Done
            }
            Step::Fault(rule) => {
                self.trace.faults.push(Span {
                    name: rule.name.clone(),
                    from: self.moment(),
                    to: u64::MAX,
                });
                match self.emulator.put_fault((**rule).clone()) {
                    Ok(()) => {
                        self.refused(&rule.fault).await;
                        SeenStep::Done
                    }
                    Err(error) => SeenStep::Failed(error.to_string()),
                }
            }
            Step::Heal(name) => {
                let now = self.moment();
                if !self.emulator.heal(name) {
                    return SeenStep::Failed(format!("no fault is named {name:?}"));
                }
                let healed = |span: &&mut Span| span.name == *name && span.to == u64::MAX;
                if let Some(span) = self.trace.faults.iter_mut().find(healed) {
                    span.to = now;
                }
                SeenStep::Done
            }
            Step::Do(command) => self.apply(command, step.to_string()),
            Step::Journal(assertions) => {
                tokio::time::sleep(SETTLE).await;
                match self.emulator.verify(assertions) {
                    Ok(report) => SeenStep::Journal(report),
                    Err(error) => SeenStep::Failed(error.to_string()),
                }
            }
            Step::Clear(Cleared::Journal) => {
                tokio::time::sleep(SETTLE).await;
                self.collect();
                self.emulator.clear_journal();
                SeenStep::Done
            }
        }
    }

    /// Applies a command of the emulator.
    fn apply(&mut self, command: &Command, name: String) -> SeenStep {
        self.mark(name);
        match self.emulator.apply(command.clone()) {
            Ok(_) => SeenStep::Done,
            Err(invalid) => SeenStep::Failed(invalid.to_string()),
        }
    }

    async fn move_clock(&mut self, client: &mut dyn Client, by: TimeDelta) -> SeenStep {
        let now = milliseconds(self.start.elapsed());
        if let Err(error) = self.world.clock.advance(by) {
            return SeenStep::Failed(error.to_string());
        }
        let forward = u64::try_from(by.num_milliseconds()).unwrap_or_default();
        self.moves.push((now, forward));
        match client.moved(by).await {
            Ok(()) => SeenStep::Done,
            Err(failed) => SeenStep::Failed(failed.to_string()),
        }
    }

    /// Waits until nothing listens any more, if that is the fault.
    async fn refused(&self, fault: &imds_emulator::fault::Fault) {
        if !matches!(fault, imds_emulator::fault::Fault::Down { .. }) {
            return;
        }
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(self.emulator.address())
                .await
                .is_err()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn current(&self) -> Option<String> {
        self.emulator.role_keys().map(|keys| keys.access_key_id)
    }

    fn note_keys(&mut self) {
        let Some(keys) = self.emulator.role_keys() else {
            return;
        };
        if self.seen.keys.last() == Some(&keys) {
            return;
        }
        let now = self.moment();
        if let Some(last) = self.trace.credentials.last_mut() {
            last.to = now;
        }
        self.trace.credentials.push(Span {
            name: keys.access_key_id.clone(),
            from: now,
            to: u64::MAX,
        });
        self.seen.keys.push(keys);
    }

    /// Milliseconds since the start, including the time that was skipped.
    fn moment(&self) -> u64 {
        let real = milliseconds(self.start.elapsed());
        real + self.moves.iter().map(|(_, by)| by).sum::<u64>()
    }

    fn call(&mut self, step: usize, from: u64, question: String, answer: String, ok: bool) {
        let to = self.moment();
        self.trace.calls.push(Call {
            step,
            from,
            to,
            question,
            answer,
            ok,
        });
    }

    fn mark(&mut self, name: String) {
        let at = self.moment();
        self.trace.marks.push(Mark { name, at });
    }

    fn collect(&mut self) {
        loop {
            match self.follow.try_recv() {
                Ok(exchange) => self.exchanges.push(exchange),
                Err(TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn end(mut self) -> (Seen, Trace) {
        let length = self.moment();
        let skipped = |real: u64| {
            let before = self.moves.iter().filter(|(at, _)| *at <= real);
            before.map(|(_, by)| by).sum::<u64>()
        };
        self.trace.requests = self
            .exchanges
            .iter()
            .map(|exchange| {
                let took = exchange.duration_ms.max(0.0).round() as u64;
                let from = exchange.uptime_ms;
                Request {
                    from: from + skipped(from),
                    to: from + took + skipped(from + took),
                    exchange: Arc::clone(exchange),
                }
            })
            .collect();
        for call in &mut self.trace.calls {
            call.answer = judge::redacted(&call.answer, &self.seen.keys);
        }
        self.trace.requests.sort_by_key(|request| request.from);
        for span in self
            .trace
            .faults
            .iter_mut()
            .chain(&mut self.trace.credentials)
        {
            span.to = span.to.min(length);
        }
        self.trace.length = length;
        (self.seen, self.trace)
    }
}

fn patience(within: Option<TimeDelta>) -> Duration {
    // Longer than allowed, to distinguish a late answer from no answer.
    let within = within.unwrap_or(PATIENCE).to_std().unwrap_or_default();
    within + Duration::from_secs(2)
}

/// A summary of the answers, and whether all are credentials.
fn summary(answers: &[Answer]) -> (String, bool) {
    let error = answers.iter().find_map(|answer| answer.as_ref().err());
    match (error, answers.first()) {
        (Some(failed), _) => (failed.to_string(), false),
        (None, Some(Ok(given))) => (given.access_key_id.clone(), true),
        _ => ("nothing".into(), false),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A loopback address without a listener.
fn elsewhere() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map_or_else(|_| "127.0.0.1:9".into(), |address| address.to_string())
}

/// A client that did not start: every call returns that error.
struct NotStarted(Unable);

impl Client for NotStarted {
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
        let failed = Failed::new(None, self.0.to_string());
        Box::pin(async move { vec![Err(failed); callers] })
    }

    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async { self.0.to_string() })
    }
}
