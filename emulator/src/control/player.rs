//! Plays a timeline: which steps are due, and after which requests.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::journal::Exchange;
use crate::timeline::{StepState, StepStatus, TimelineStep};

/// The steps of an emulator.
#[derive(Debug)]
pub(crate) struct Player {
    steps: Mutex<Steps>,
    /// When the next step is due, in milliseconds since 1970. Reading it takes no lock.
    due: AtomicI64,
    /// Whether a step waits for requests.
    is_counting: AtomicBool,
}

#[derive(Debug)]
struct Steps {
    began: DateTime<Utc>,
    all: Vec<StepStatus>,
}

const NEVER: i64 = i64::MAX;

impl Player {
    pub(crate) fn new(steps: Vec<TimelineStep>, began: DateTime<Utc>) -> Self {
        let player = Self {
            steps: Mutex::new(Steps {
                began,
                all: Vec::new(),
            }),
            due: AtomicI64::new(NEVER),
            is_counting: AtomicBool::new(false),
        };
        player.start(steps, began);
        player
    }

    /// Replaces all steps. Their times count from `began`.
    pub(crate) fn start(&self, steps: Vec<TimelineStep>, began: DateTime<Utc>) {
        let all = steps.into_iter().map(|step| StepStatus {
            step,
            state: StepState::Pending,
            seen: 0,
        });
        let mut ours = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        *ours = Steps {
            began,
            all: all.collect(),
        };
        self.look_ahead(&ours);
    }

    fn look_ahead(&self, steps: &Steps) {
        let due = steps
            .all
            .iter()
            .filter_map(|status| steps.due(status))
            .min();
        let due = due.map_or(NEVER, |due| due.timestamp_millis());
        self.due.store(due, Ordering::Release);
        let is_counting = steps
            .all
            .iter()
            .any(|status| status.state == StepState::Pending && status.step.on.is_some());
        self.is_counting.store(is_counting, Ordering::Release);
    }

    /// Whether a step waits for its time.
    pub(crate) fn is_waiting(&self) -> bool {
        self.due.load(Ordering::Acquire) != NEVER
    }

    /// Takes the steps that are due, in the order of their times.
    pub(crate) fn take_due(&self, now: DateTime<Utc>) -> Vec<(TimelineStep, DateTime<Utc>)> {
        if now.timestamp_millis() < self.due.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let began = steps.began;
        let mut taken = Vec::new();
        for status in &mut steps.all {
            let due = due(began, status).filter(|due| *due <= now);
            if let Some(due) = due {
                status.state = StepState::Done(due);
                taken.push((status.step.clone(), due));
            }
        }
        taken.sort_by_key(|(_, due)| *due);
        self.look_ahead(&steps);
        taken
    }

    /// Takes the steps for which this was the last request that they waited for.
    pub(crate) fn take_after(&self, exchange: &Exchange) -> Vec<TimelineStep> {
        if !self.is_counting.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for status in &mut steps.all {
            let (StepState::Pending, Some(on)) = (&status.state, &status.step.on) else {
                continue;
            };
            let (is_one, nth) = on.counts(exchange);
            if !is_one {
                continue;
            }
            status.seen += 1;
            if status.seen >= nth {
                status.state = StepState::Done(exchange.at);
                taken.push(status.step.clone());
            }
        }
        self.look_ahead(&steps);
        taken
    }

    /// Takes the step with this name, even if it is not due or was taken before.
    pub(crate) fn take(&self, name: &str, now: DateTime<Utc>) -> Option<TimelineStep> {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let status = steps
            .all
            .iter_mut()
            .find(|status| status.step.name == name)?;
        status.state = StepState::Done(now);
        let step = status.step.clone();
        self.look_ahead(&steps);
        Some(step)
    }

    pub(crate) fn failed(&self, name: &str, why: String) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = steps.all.iter_mut().find(|status| status.step.name == name) {
            status.state = StepState::Failed(why);
        }
    }

    pub(crate) fn statuses(&self) -> Vec<StepStatus> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.all.clone()
    }
}

impl Steps {
    fn due(&self, status: &StepStatus) -> Option<DateTime<Utc>> {
        due(self.began, status)
    }
}

/// When a step is due, if it waits for its time.
fn due(began: DateTime<Utc>, status: &StepStatus) -> Option<DateTime<Utc>> {
    let at = status
        .step
        .at
        .filter(|_| status.state == StepState::Pending)?;
    Some(
        began
            .checked_add_signed(at.into())
            .unwrap_or(DateTime::<Utc>::MAX_UTC),
    )
}
