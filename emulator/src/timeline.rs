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

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::Rule;
use crate::journal::{Exchange, Filter};
use crate::preset::Preset;
use crate::value::{Invalid, Key, Span};

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

impl TimelineStep {
    /// Checks the step by itself; `key` is where it stands.
    pub(crate) fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.unless(
            self.at.is_none() || self.on.is_none(),
            "at and on",
            "one of them, or none",
        )?;
        if let Some(On::Request(request)) = &self.on {
            request.filter.compile(&key.field("on.request.of"))?;
        }
        Ok(())
    }
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

impl On {
    /// Whether it is about such a request, and how many of them it waits for.
    pub(crate) fn counts(&self, exchange: &Exchange) -> (bool, u64) {
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
