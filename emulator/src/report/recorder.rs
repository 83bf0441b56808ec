//! Records what happens to an emulator besides requests: faults, credentials, steps of the timeline
//! and moves of the clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::picture::{Mark, Request, Span, Trace, duration};
use super::usage::{Usage, identity};
use super::{ClientUsage, Report};
use crate::control::Control;
use crate::journal::{Assertion, Exchange, Filter, Found};
use crate::timeline::StepState;
use crate::value::Invalid;

/// A difference between the clocks that is shown as a move.
const MOVED: TimeDelta = TimeDelta::seconds(1);
/// How often faults that are due and credentials that have rotated are noticed while nothing
/// happens.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Records what happens to an emulator, from its creation on.
#[derive(Debug)]
pub struct Recorder {
    control: Control,
    began: Instant,
    recorded: Arc<Mutex<Recorded>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts to record. Must be called in the emulator's runtime.
    pub fn new(control: &Control) -> Self {
        let recorded = Arc::new(Mutex::new(Recorded::new(control)));
        let task = tokio::spawn(record(control.clone(), Arc::clone(&recorded)));
        Self {
            control: control.clone(),
            began: Instant::now(),
            recorded,
            task,
        }
    }

    /// Ends the recording. `title` says what was run.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if an assertion is not accepted.
    pub fn finish(
        self,
        title: impl Into<String>,
        assertions: &[Assertion],
    ) -> Result<Report, Invalid> {
        self.task.abort();
        let found = self.control.find(&Filter::default())?;
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.look(&self.control);
        let usage = Usage::of(&found, self.control.packets().as_ref());
        let verified = match assertions {
            [] => None,
            assertions => Some(self.control.verify(assertions)?),
        };
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            title: title.into(),
            started: recorded.started,
            milliseconds: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            verified,
            trace: recorded.trace(&found, &usage, self.control.clock().now()),
            usage,
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(control: Control, recorded: Arc<Mutex<Recorded>>) {
    let mut changes = control.shared.changes.subscribe();
    let mut exchanges = control.follow();
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            exchange = exchanges.recv() => if matches!(exchange, Err(RecvError::Closed)) { return },
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.look(&control);
    }
}

/// What was recorded so far. Times are milliseconds on the emulator's clock since the start.
#[derive(Debug)]
struct Recorded {
    started: DateTime<Utc>,
    /// The last look, on the emulator's clock and in real time.
    looked: (DateTime<Utc>, Instant),
    faults: Vec<Span>,
    credentials: Vec<Span>,
    marks: Vec<Mark>,
    /// The number of steps that have a mark.
    steps: usize,
}

impl Recorded {
    fn new(control: &Control) -> Self {
        let started = control.clock().now();
        let mut recorded = Self {
            started,
            looked: (started, Instant::now()),
            faults: Vec::new(),
            credentials: Vec::new(),
            marks: Vec::new(),
            steps: 0,
        };
        recorded.steps = done(control).len();
        recorded.look(control);
        recorded
    }

    /// Records what has changed.
    fn look(&mut self, control: &Control) {
        let moment = control.clock().now();
        let now = self.since(moment);
        if let Some(name) = self.moved(moment) {
            self.marks.push(Mark { name, at: now });
        }
        let present: Vec<String> = control
            .faults()
            .into_iter()
            .map(|(rule, _)| rule.name)
            .collect();
        for span in &mut self.faults {
            if span.to == u64::MAX && !present.contains(&span.name) {
                span.to = now;
            }
        }
        for name in present {
            let is_known = |span: &Span| span.to == u64::MAX && span.name == name;
            if !self.faults.iter().any(is_known) {
                self.faults.push(open(name, now));
            }
        }
        let keys = control.role_keys().map(|keys| keys.access_key_id);
        if let Some(span) = self.credentials.last_mut()
            && span.to == u64::MAX
            && keys.as_ref() != Some(&span.name)
        {
            span.to = now;
        }
        if let Some(key) = keys
            && self
                .credentials
                .last()
                .is_none_or(|span| span.to != u64::MAX)
        {
            self.credentials.push(open(key, now));
        }
        let done = done(control);
        for (name, at) in done.iter().skip(self.steps) {
            self.marks.push(Mark {
                name: name.clone(),
                at: self.since(*at),
            });
        }
        self.steps = done.len();
    }

    /// How the clock was moved since the last look, if it was. A clock may also stand still.
    fn moved(&mut self, moment: DateTime<Utc>) -> Option<String> {
        let (before, looked) = std::mem::replace(&mut self.looked, (moment, Instant::now()));
        let passed = moment.signed_duration_since(before);
        let real = TimeDelta::from_std(looked.elapsed()).unwrap_or(TimeDelta::MAX);
        let (direction, by) = match passed < TimeDelta::zero() {
            true => ("back", -passed),
            false => ("forward", passed),
        };
        // Looks are so frequent that the real time between two of them does not show.
        let milliseconds = u64::try_from(by.num_milliseconds()).unwrap_or(0);
        (by - real >= MOVED).then(|| format!("clock {direction} {}", duration(milliseconds)))
    }

    fn since(&self, moment: DateTime<Utc>) -> u64 {
        let milliseconds = moment
            .signed_duration_since(self.started)
            .num_milliseconds();
        u64::try_from(milliseconds).unwrap_or(0)
    }

    fn trace(&self, found: &Found, usage: &Usage, now: DateTime<Utc>) -> Trace {
        let mut requests: Vec<Request> = found
            .exchanges
            .iter()
            .map(|exchange| {
                let from = self.since(exchange.at);
                Request {
                    from,
                    to: from + exchange.duration_ms.max(0.0).round() as u64,
                    lane: lane(usage, exchange),
                    exchange: Arc::clone(exchange),
                }
            })
            .collect();
        requests.sort_by_key(|request| request.from);
        let last = requests.iter().map(|request| request.to).max();
        let length = self.since(now).max(last.unwrap_or(0));
        let end = |spans: &[Span]| {
            let mut spans = spans.to_vec();
            for span in &mut spans {
                span.to = span.to.min(length);
            }
            spans
        };
        Trace {
            calls: Vec::new(),
            requests,
            faults: end(&self.faults),
            marks: self.marks.clone(),
            credentials: end(&self.credentials),
            length,
        }
    }
}

/// Something that has begun and not ended.
fn open(name: String, from: u64) -> Span {
    Span {
        name,
        from,
        to: u64::MAX,
    }
}

/// The steps of the timeline that were taken, in order.
fn done(control: &Control) -> Vec<(String, DateTime<Utc>)> {
    let steps = control.timeline().into_iter();
    let mut done: Vec<(String, DateTime<Utc>)> = steps
        .filter_map(|status| match status.state {
            StepState::Done(at) => Some((status.step.name, at)),
            _ => None,
        })
        .collect();
    done.sort_by_key(|(_, at)| *at);
    done
}

/// The lane of an exchange: its client's name.
fn lane(usage: &Usage, exchange: &Exchange) -> Arc<str> {
    let clients = usage.clients.iter();
    let mut clients = clients.filter(|client| client.identity() == identity(exchange));
    match clients.next().map(ClientUsage::name) {
        Some(name) => name.into(),
        None => "requests".into(),
    }
}
