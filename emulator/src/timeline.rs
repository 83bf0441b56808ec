//! Scripts: what happens to the instance, when, or after which requests.
//!
//! ```
//! use imds_emulator::config::Config;
//!
//! let config = Config::from_toml(
//!     r#"
//!     [[timeline]]
//!     name = "trouble"
//!     at = "5m"
//!     do = [{ preset = "imds-brownout" }]
//!
//!     [[timeline]]
//!     name = "no more tokens"
//!     on = { token = 1 }
//!     do = [{ fault = { name = "none", fault = { type = "token_unavailable" } } }]
//!     "#,
//! )?;
//! assert_eq!(config.timeline.len(), 2);
//! # Ok::<(), imds_emulator::config::ConfigError>(())
//! ```

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{Config, Invalid, Key, Span};
use crate::fault::{Rule, merge};
use crate::journal::{Exchange, Filter};
use crate::preset::Preset;

/// A step of a timeline. With neither `at` nor `on` it is taken by hand alone.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TimelineStep {
    /// What it is called. No two steps have the same name.
    pub name: String,
    /// So long after the start, on the emulator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// After such requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<On>,
    /// What is done, one after the other.
    #[serde(rename = "do")]
    pub actions: Vec<Action>,
}

impl TimelineStep {
    /// A step that is taken by hand.
    pub fn new(name: impl Into<String>, actions: Vec<Action>) -> Self {
        Self {
            name: name.into(),
            at: None,
            on: None,
            actions,
        }
    }

    /// A step that is taken so long after the start.
    #[must_use]
    pub fn at(mut self, at: impl Into<Span>) -> Self {
        self.at = Some(at.into());
        self
    }

    /// A step that is taken after such requests.
    #[must_use]
    pub fn on(mut self, on: On) -> Self {
        self.on = Some(on);
        self
    }
}

/// After which requests. They are counted since the start, once they are answered.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum On {
    /// So many tokens were given.
    Token(u64),
    /// The role's credentials were read so often.
    Credentials(u64),
    /// There were so many of these requests.
    Request(OnRequest),
}

/// So many requests.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnRequest {
    /// Which ones.
    #[serde(default, rename = "of")]
    pub filter: Filter,
    /// How many. Default: 1.
    #[serde(default = "one")]
    pub nth: u64,
}

fn one() -> u64 {
    1
}

/// What is done.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// `instance`, `metadata-options` and `events` are changed, as a JSON merge patch.
    Change(Map<String, Value>),
    /// A rule is added.
    Fault(Box<Rule>),
    /// The rule of this name is taken away, if it is there.
    Heal(String),
    /// All rules are taken away.
    HealAll,
    /// A preset is applied.
    Preset(Preset),
    /// A preset is taken away, if it is applied.
    RemovePreset(Preset),
    /// The role gets new credentials.
    RotateCredentials,
    /// All tokens become invalid.
    RevokeTokens,
    /// A scenario is put into a state.
    Scenario(ToState),
}

/// A scenario, and the state that it is put into.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ToState {
    /// The name of the scenario.
    pub name: String,
    /// The state.
    pub state: String,
}

impl Action {
    /// Those parts of a configuration that it patches, patched.
    pub(crate) fn patch(
        config: &mut Config,
        patch: &Map<String, Value>,
        key: &Key,
    ) -> Result<(), Invalid> {
        for (name, value) in patch {
            let key = key.field(name);
            match name.as_str() {
                "instance" => patched(&mut config.instance, value, &key)?,
                "metadata-options" => patched(&mut config.metadata_options, value, &key)?,
                "events" => patched(&mut config.events, value, &key)?,
                _ => key.unless(false, name, "instance, metadata-options or events")?,
            }
        }
        Ok(())
    }
}

fn patched<T: for<'de> Deserialize<'de> + Serialize>(
    part: &mut T,
    patch: &Value,
    key: &Key,
) -> Result<(), Invalid> {
    let mut value = serde_json::to_value(&*part).unwrap_or_default();
    merge(&mut value, patch);
    match serde_path_to_error::deserialize(value) {
        Ok(changed) => {
            *part = changed;
            Ok(())
        }
        Err(error) => key.field(error.path()).unless(false, patch, error.inner()),
    }
}

/// Checks the steps of a configuration, as they change it one after the other.
pub(crate) fn check(steps: &[TimelineStep], config: &Config) -> Result<(), Invalid> {
    let mut config = config.clone();
    config.timeline.clear();
    for (at, step) in steps.iter().enumerate() {
        let key = Key::root("timeline").item(at);
        key.field("name").line(&step.name)?;
        key.field("name").unless(
            steps.iter().take(at).all(|other| other.name != step.name),
            &step.name,
            "a name that no other step has",
        )?;
        key.unless(
            step.at.is_none() || step.on.is_none(),
            "at and on",
            "one of them, or none",
        )?;
        if let Some(On::Request(request)) = &step.on {
            request.filter.compile(&key.field("on.request.of"))?;
        }
        for (at, action) in step.actions.iter().enumerate() {
            let key = key.field("do").item(at);
            match action {
                Action::Change(patch) => {
                    Action::patch(&mut config, patch, &key.field("change"))?;
                    config.check().map_err(|invalid| {
                        let changed = invalid.to_string();
                        match key.unless(false, changed, "a configuration that is accepted") {
                            Err(invalid) => invalid,
                            Ok(()) => invalid,
                        }
                    })?;
                }
                Action::Fault(rule) => rule.check(&key.field("fault"))?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// A step, and what has become of it.
#[derive(Clone, Debug, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct StepStatus {
    /// The step.
    pub step: TimelineStep,
    /// What has become of it.
    pub state: StepState,
    /// Of requests that it waits for, how many there were.
    pub seen: u64,
}

/// What has become of a step.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepState {
    /// It waits.
    Pending,
    /// It was taken then.
    Done(#[schemars(with = "String")] DateTime<Utc>),
    /// It was tried, and this was wrong.
    Failed(String),
}

/// The steps of an emulator.
#[derive(Debug)]
pub(crate) struct Timeline {
    steps: Mutex<Steps>,
    /// When the next step is due, in milliseconds since 1970, so that looking costs nothing.
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

impl Timeline {
    pub(crate) fn new(steps: Vec<TimelineStep>, began: DateTime<Utc>) -> Self {
        let timeline = Self {
            steps: Mutex::new(Steps {
                began,
                all: Vec::new(),
            }),
            due: AtomicI64::new(NEVER),
            is_counting: AtomicBool::new(false),
        };
        timeline.start(steps, began);
        timeline
    }

    /// Other steps, from `began` on.
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

    /// The steps whose time has come, in the order of their times. They are taken with this.
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

    /// The steps that wait for no more requests after this one. They are taken with this.
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

    /// The step of that name, by hand, even if it was taken before.
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

impl On {
    /// Whether it is about such a request, and how many of them it waits for.
    fn counts(&self, exchange: &Exchange) -> (bool, u64) {
        let is_good = exchange.status == Some(200);
        match self {
            Self::Token(nth) => {
                let is_token = exchange.method == "PUT" && exchange.path.ends_with("/api/token");
                (is_good && is_token, *nth)
            }
            Self::Credentials(nth) => {
                let role = [
                    "/iam/security-credentials/",
                    "/iam/security-credentials-extended/",
                ]
                .iter()
                .find_map(|folder| exchange.path.split_once(folder))
                .map(|(_, role)| role);
                let is_role = role.is_some_and(|role| !role.is_empty() && !role.contains('/'));
                (is_good && is_role, *nth)
            }
            Self::Request(OnRequest { filter, nth }) => {
                let sieve = filter.compile(&Key::root("on"));
                (sieve.is_ok_and(|sieve| sieve.passes(exchange)), *nth)
            }
        }
    }
}
