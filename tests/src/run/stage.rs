//! A scenario in progress: takes the steps, and records what is seen.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use imds_emulator::fault::Fault;
use imds_emulator::fault::kinds::ConnectionFault;
use imds_emulator::journal::Exchange;
use imds_emulator::report::picture::{Call, Mark, Request, Span, Trace};
use imds_emulator::{Command, Emulator};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::{milliseconds, new_world};
use crate::client::{Answer, Client, Driver, Failed, Unable, World};
use crate::clock::Shared;
use crate::judge::{PATIENCE, Seen, SeenStep, redacted};
use crate::scenario::{Cleared, Get, Metadata, Rejected, Scenario, Step};

/// A scenario in progress: the emulator, the clock, and what was seen so far.
pub(super) struct Stage {
    emulator: Arc<Emulator>,
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
    pub(super) async fn set(
        seed: u64,
        isolated: bool,
        scenario: &Scenario,
    ) -> Result<Self, imds_emulator::StartError> {
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
        let emulator = Arc::new(emulator);
        let start = Instant::now();
        let mut world = new_world(&emulator, clock, seed, isolated);
        let authority = world.endpoint.trim_start_matches("http://").to_owned();
        for (name, value) in scenario.env() {
            let value = value
                .replace("{endpoint}", &world.endpoint)
                .replace("{authority}", &authority)
                .replace("{elsewhere}", &elsewhere());
            world.env.insert(name.clone(), value);
        }
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

    pub(super) async fn play(mut self, driver: &dyn Driver, scenario: &Scenario) -> (Seen, Trace) {
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
            Step::Get(get) => self.get(client, number, get).await,
            Step::Metadata(metadata) => self.metadata(client, number, metadata).await,
            Step::Reject(rejected) => self.reject(client, number, *rejected).await,
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

    async fn get(&mut self, client: &mut dyn Client, number: usize, get: &Get) -> SeenStep {
        let before = self.current();
        let question = match get.concurrent {
            1 => "get".to_owned(),
            callers => format!("get × {callers}"),
        };
        let asked = Asked::new(self, number, question);
        let patience = patience(get.within.map(TimeDelta::from));
        let answered = tokio::time::timeout(patience, client.get(get.concurrent)).await;
        let Ok(answers) = answered else {
            return asked.hung(self);
        };
        let (text, ok) = summary(&answers);
        let elapsed = asked.answered(self, text, ok);
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

    async fn metadata(
        &mut self,
        client: &mut dyn Client,
        number: usize,
        metadata: &Metadata,
    ) -> SeenStep {
        let asked = Asked::new(self, number, format!("metadata {}", metadata.path));
        let patience = patience(metadata.within.map(TimeDelta::from));
        let answered = tokio::time::timeout(patience, client.metadata(&metadata.path)).await;
        let Ok(answer) = answered else {
            return asked.hung(self);
        };
        let text = match &answer {
            Ok(value) => value.clone(),
            Err(failed) => failed.to_string(),
        };
        let elapsed = asked.answered(self, text, answer.is_ok());
        SeenStep::Metadata { answer, elapsed }
    }

    async fn reject(
        &mut self,
        client: &mut dyn Client,
        number: usize,
        rejected: Rejected,
    ) -> SeenStep {
        let id = match rejected {
            Rejected::Last => self.last.clone().unwrap_or_default(),
            Rejected::Other => "ASIAOFSOMEBODYELSE00".to_owned(),
        };
        let asked = Asked::new(self, number, "reject".to_owned());
        let answered = tokio::time::timeout(patience(None), client.reject(&id)).await;
        let Ok(answer) = answered else {
            return asked.hung(self);
        };
        let text = match &answer {
            Ok(()) => "ok".to_owned(),
            Err(failed) => failed.to_string(),
        };
        asked.answered(self, text, answer.is_ok());
        match answer {
            Ok(()) => SeenStep::Done,
            Err(failed) => SeenStep::Failed(failed.to_string()),
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
    async fn refused(&self, fault: &Fault) {
        if !matches!(fault, Fault::Connection(ConnectionFault::Down(_))) {
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
        let lane: Arc<str> = "requests".into();
        self.trace.requests = self
            .exchanges
            .iter()
            .map(|exchange| {
                let took = exchange.duration_ms.max(0.0).round() as u64;
                let from = exchange.uptime_ms;
                Request {
                    from: from + skipped(from),
                    to: from + took + skipped(from + took),
                    lane: Arc::clone(&lane),
                    exchange: Arc::clone(exchange),
                }
            })
            .collect();
        for call in &mut self.trace.calls {
            call.answer = redacted(&call.answer, &self.seen.keys);
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

/// A call to the client that is in progress.
struct Asked {
    step: usize,
    from: u64,
    question: String,
    begun: Instant,
}

impl Asked {
    fn new(stage: &Stage, step: usize, question: String) -> Self {
        Self {
            step,
            from: stage.moment(),
            question,
            begun: Instant::now(),
        }
    }

    /// Records the answer, and returns how long it took.
    fn answered(self, stage: &mut Stage, answer: String, ok: bool) -> Duration {
        let elapsed = self.begun.elapsed();
        let to = stage.moment();
        stage.trace.calls.push(Call {
            step: self.step,
            from: self.from,
            to,
            question: self.question,
            answer,
            ok,
            unexpected: false,
        });
        elapsed
    }

    fn hung(self, stage: &mut Stage) -> SeenStep {
        let elapsed = self.answered(stage, "no answer".to_owned(), false);
        SeenStep::Hung { elapsed }
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
