//! Commands, and timelines: scripts that run commands at a time or after requests.
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

mod command;

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::command::{Command, Outcome, ToState};

use crate::journal::{Exchange, Filter, Recorded};
use crate::value::{Invalid, Key, Span, all};

/// A step of a timeline. A step with neither `at` nor `on` is only taken on demand.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TimelineStep {
    /// The step's name. No two steps have the same name.
    pub name: String,
    /// Take the step this long after the start, on the emulator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// Take the step after these requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<On>,
    /// What to do, in this order.
    #[serde(rename = "do")]
    pub commands: Vec<Command>,
}

impl TimelineStep {
    /// A step that is taken on demand.
    pub fn new(name: impl Into<String>, commands: Vec<Command>) -> Self {
        Self {
            name: name.into(),
            at: None,
            on: None,
            commands,
        }
    }

    /// Takes the step this long after the start.
    #[must_use]
    pub fn at(mut self, at: impl Into<Span>) -> Self {
        self.at = Some(at.into());
        self
    }

    /// Takes the step after these requests.
    #[must_use]
    pub fn on(mut self, on: On) -> Self {
        self.on = Some(on);
        self
    }
}

/// The requests after which a step is taken. They are counted from the start of the timeline, when
/// they have been answered.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum On {
    /// After this many tokens were issued.
    Token(u64),
    /// After the role's credentials were read this many times.
    Credentials(u64),
    /// After this many requests of a kind.
    Request(OnRequest),
}

/// A number of requests of a kind.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct OnRequest {
    /// The requests to count. Default: all.
    #[serde(default, rename = "of")]
    pub filter: Filter,
    /// How many. Default: 1.
    #[serde(default = "one")]
    pub nth: u64,
}

fn one() -> u64 {
    1
}

impl OnRequest {
    /// The `nth` request that passes `filter`.
    pub fn new(filter: Filter, nth: u64) -> Self {
        Self { filter, nth }
    }
}

impl TimelineStep {
    /// Checks the step by itself; `key` is its place in the configuration.
    pub(crate) fn check(&self, key: &Key, recorded: Recorded) -> Result<(), Invalid> {
        let filter = match &self.on {
            Some(On::Request(request)) => {
                let (filter, key) = (&request.filter, key.field("on.request.of"));
                let recorded = filter.check_recorded(&key, recorded);
                all([filter.compile(&key).map(drop), recorded])
            }
            _ => Ok(()),
        };
        all([
            key.unless(
                self.at.is_none() || self.on.is_none(),
                "at and on",
                "one of them, or none",
            ),
            filter,
        ])
    }
}

/// A step and its state.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct StepStatus {
    /// The step.
    pub step: TimelineStep,
    /// The step's state.
    pub state: StepState,
    /// The number of requests so far, of those that the step waits for.
    pub seen: u64,
}

/// The state of a step.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepState {
    /// The step has not been taken.
    Pending,
    /// The step was taken at this moment.
    Done(#[schemars(with = "String")] DateTime<Utc>),
    /// The step failed, for this reason.
    Failed(String),
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step.name, self.state)
    }
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Done(at) => {
                let at = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                write!(f, "done at {at}")
            }
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl On {
    /// Whether this request counts, and how many of them the step waits for.
    pub(crate) fn counts(&self, exchange: &Exchange) -> (bool, u64) {
        let is_good = exchange.status == Some(200);
        match self {
            Self::Token(nth) => (is_good && exchange.asks_for_token(), *nth),
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
