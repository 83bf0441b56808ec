//! Faults on demand: a rule says what goes wrong, for which requests, and when.
//!
//! Rules are written the same way in the configuration file, over the admin API and in Rust. For
//! each request, rules are checked by priority, then in their order. Delays add up. All faults of
//! the instance take effect. If several faults replace the response, the first applies.
//!
//! ```
//! use imds_emulator::config::Config;
//!
//! let config = Config::from_toml(
//!     r#"
//!     [[faults]]
//!     name = "no tokens for a minute"
//!     match = { path = "/latest/api/token" }
//!     when = { duration = "1m" }
//!     fault = { type = "status", code = 503 }
//!     "#,
//! )?;
//! assert_eq!(config.faults[0].name, "no tokens for a minute");
//! # Ok::<(), imds_emulator::config::ConfigError>(())
//! ```

pub mod kinds;

mod check;
mod conditions;
mod delay;
mod draft;
mod engine;
mod occurrence;
mod view;

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::conditions::Conditions;
pub(crate) use self::engine::{Asked, Fired, RuleSet};
pub(crate) use self::kinds::Refusal;
pub use self::kinds::{Distribution, Effect, Family, Fault, Malformed, ResetAfter, StatusBody};
pub(crate) use self::view::{Quirks, View};

pub use crate::documents::Broken;
pub use crate::request::{ImdsVersion, PathGlob, TokenState};
pub use crate::value::Shift;

use crate::value::Span;

/// What goes wrong, for which requests, and when.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Rule {
    /// Name of the rule: in the journal, and to remove the rule. Each rule has its own name.
    pub name: String,
    /// Rules with a higher priority are checked first. Default: 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// The requests that the rule is for. Default: all.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub matches: Match,
    /// When the rule applies. Default: always.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when: When,
    /// What goes wrong.
    pub fault: Fault,
}

impl Rule {
    /// A rule for all requests.
    ///
    /// ```
    /// use imds_emulator::fault::{Fault, Rule};
    ///
    /// let rule = Rule::new("outage", Fault::blackhole()).on("/latest/api/token").times(2);
    /// assert_eq!(rule.when.count, Some(2));
    /// ```
    pub fn new(name: impl Into<String>, fault: impl Into<Fault>) -> Self {
        Self {
            name: name.into(),
            priority: 0,
            matches: Match::default(),
            when: When::default(),
            fault: fault.into(),
        }
    }

    /// Matches only paths like this glob: `*` matches within one segment, `**` across segments.
    #[must_use]
    pub fn on(mut self, path: impl Into<String>) -> Self {
        self.matches.path = Some(path.into());
        self
    }

    /// Matches only requests with this method.
    #[must_use]
    pub fn method(mut self, method: &Method) -> Self {
        self.matches.method = Some(method.to_string());
        self
    }

    /// Matches only requests of processes whose name is like this glob.
    #[must_use]
    pub fn process(mut self, glob: impl Into<String>) -> Self {
        self.matches.process = Some(glob.into());
        self
    }

    /// Stops after `count` requests.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.when.count = Some(count);
        self
    }

    /// Skips the first `count` matching requests.
    #[must_use]
    pub fn after_requests(mut self, count: u64) -> Self {
        self.when.skip_first = count;
        self
    }

    /// Applies to this share of the matching requests, 0 to 1.
    #[must_use]
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.when.probability = Some(probability);
        self
    }
}

/// The requests that a rule is for: those that match everything that is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Match {
    /// Glob of the whole path: `*` matches within one segment, `**` across segments. Repeated
    /// slashes count as one, and percent escapes are decoded. A glob of a folder, like `**/security-credentials/`, also matches its
    /// path without the final slash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The method, like `GET`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The first segment of the path: `latest` or a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of IMDS that the client uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imds: Option<ImdsVersion>,
    /// The state of the request's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenState>,
    /// The client's address or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub client: Option<IpNet>,
    /// Glob of the name of the process that sent the request. Supported on Linux only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Headers, each with a glob of its value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Glob of the `User-Agent`, like `Boto3/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Numbers of requests, counted from 1 since the emulator was started or reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Numbers>,
}

/// When a rule applies to a request that it matches.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct When {
    /// Share of the matching requests, 0 to 1. The seed determines which ones. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Seed for `probability` and for random parameters of the fault. Default: derived from the
    /// emulator's seed and the rule's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Number of matching requests that are skipped first. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    pub skip_first: u64,
    /// Number of requests after which the rule stops. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Time from when the rule was added until it applies, on the emulator's clock. Default: `0s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
    /// Time for which the rule applies from then on, on the emulator's clock. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// Real time after which the rule is removed, whatever the emulator's clock shows: a safety net
    /// for rules that a test fails to remove. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// The state that a scenario must be in. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<InScenario>,
}

/// The state that a scenario must be in. Scenarios begin in the state `Started`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct InScenario {
    /// The name of the scenario.
    pub name: String,
    /// The state that the scenario must be in. Default: `Started`.
    #[serde(default = "started")]
    pub state: String,
    /// The state that the scenario enters when the rule applies. Default: the same state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

impl InScenario {
    /// Requires the scenario `name` to be in `state`.
    pub fn new(name: impl Into<String>, state: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: state.into(),
            then: None,
        }
    }

    /// Moves the scenario to the state `then` when the rule applies.
    #[must_use]
    pub fn then(mut self, then: impl Into<String>) -> Self {
        self.then = Some(then.into());
        self
    }
}

/// The state that a scenario begins in.
pub const STARTED: &str = "Started";

fn started() -> String {
    STARTED.into()
}

/// A range of numbers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Numbers {
    /// The first number. Default: 0.
    #[serde(default)]
    pub from: u64,
    /// The last number. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl Numbers {
    /// The numbers from `from` to `to`, both included.
    pub fn new(from: u64, to: impl Into<Option<u64>>) -> Self {
        Self {
            from,
            to: to.into(),
        }
    }

    fn contains(self, number: u64) -> bool {
        number >= self.from && self.to.is_none_or(|to| number <= to)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The name of a header, if `name` is a valid one.
fn header(name: &str) -> Option<HeaderName> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        for (short, long) in [
            (
                json!({"type": "random_data_then_close"}),
                json!({"bytes": 64}),
            ),
            (json!({"type": "redirect", "to": "/"}), json!({"code": 301})),
            (json!({"type": "wrong_server"}), json!({"to": "nginx"})),
            (
                json!({"type": "throttle"}),
                json!({"rate": 1024, "effect": "no-response"}),
            ),
            (
                json!({"type": "quota", "limit": 1, "window": "1s"}),
                json!({"effect": 429}),
            ),
            (json!({"type": "token_unavailable"}), json!({"effect": 404})),
            (
                json!({"type": "credentials_error"}),
                json!({"code": "AssumeRoleUnauthorizedAccess"}),
            ),
        ] {
            let mut whole = short.clone();
            json_patch::merge(&mut whole, &long);
            let fault: Fault = serde_json::from_value(short).unwrap();
            assert_eq!(serde_json::to_value(fault).unwrap(), whole);
        }
        let scenario: InScenario = serde_json::from_value(json!({"name": "x"})).unwrap();
        assert_eq!(scenario, InScenario::new("x", STARTED));
    }

    #[test]
    fn a_rule_is_written_without_what_is_its_default() {
        for rule in [
            json!({"name": "x", "fault": {"type": "blackhole"}}),
            json!({
                "name": "x", "priority": 1, "match": {"request": {"from": 2, "to": 3}},
                "when": {"skip-first": 4},
                "fault": {"type": "latency", "latency": "1s", "jitter": "1s"},
            }),
        ] {
            let read: Rule = serde_json::from_value(rule.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), rule);
        }
    }
}
