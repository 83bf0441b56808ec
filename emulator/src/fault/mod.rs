//! Faults on demand: a rule says which requests, when, and what goes wrong.
//!
//! Rules are the same in the configuration file, over the admin API and in Rust. For each request
//! they are looked at by priority, then in their order. Delays add up; faults of the instance all
//! take effect; of the faults that replace an answer the first one wins.
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

mod check;
mod delay;
mod engine;
mod kinds;
mod response;

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use engine::{Asked, Fired, RuleSet};
pub use kinds::*;
pub(crate) use response::apply;

pub use crate::documents::Broken;
pub use crate::request::{ImdsVersion, TokenState};
pub use crate::value::Shift;

use crate::value::Span;

/// What goes wrong, for which requests, and when.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Rule {
    /// What it is called: in the journal, and to take it away. No two rules have the same name.
    pub name: String,
    /// Rules with a higher priority come first. Default: 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// Which requests. Default: all.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub matches: Match,
    /// When. Default: always.
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
    /// let rule = Rule::new("outage", Fault::Blackhole {}).on("/latest/api/token").times(2);
    /// assert_eq!(rule.when.count, Some(2));
    /// ```
    pub fn new(name: impl Into<String>, fault: Fault) -> Self {
        Self {
            name: name.into(),
            priority: 0,
            matches: Match::default(),
            when: When::default(),
            fault,
        }
    }

    /// For requests to such paths alone: `*` is anything in one segment, `**` anything.
    #[must_use]
    pub fn on(mut self, path: impl Into<String>) -> Self {
        self.matches.path = Some(path.into());
        self
    }

    /// For requests with this method alone.
    #[must_use]
    pub fn method(mut self, method: &Method) -> Self {
        self.matches.method = Some(method.to_string());
        self
    }

    /// For so many requests alone.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.when.count = Some(count);
        self
    }

    /// Not for the first so many requests.
    #[must_use]
    pub fn after_requests(mut self, count: u64) -> Self {
        self.when.skip_first = count;
        self
    }

    /// For this share of the requests, from 0 to 1.
    #[must_use]
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.when.probability = Some(probability);
        self
    }
}

/// Which requests a rule is for: those for which everything that is given holds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Match {
    /// A glob of the path, from its beginning to its end: `*` is anything in one segment, `**`
    /// anything at all. Repeated slashes count as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The first segment of the path: `latest`, or a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of IMDS that the client uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imds: Option<ImdsVersion>,
    /// The token of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenState>,
    /// The client's address, or its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub client: Option<IpNet>,
    /// Headers, each with a glob of its value; `*` is anything.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A glob of the `User-Agent`, like `Boto3/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Numbers of requests, counted from 1 since the emulator started or was reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Numbers>,
}

/// When a rule applies, among the requests that it matches.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct When {
    /// For this share of the requests, from 0 to 1. Which ones follows from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// For `probability`. Default: it follows from the emulator's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Not for the first so many requests.
    #[serde(skip_serializing_if = "is_default")]
    pub skip_first: u64,
    /// For so many requests at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// So long after the rule was added, on the emulator's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
    /// For so long from then on, on the emulator's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// The rule is taken away after this time on the machine's clock, whatever the emulator's shows:
    /// for who may forget it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// While a scenario is in a state.
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
    /// The state that it must be in.
    #[serde(default = "started")]
    pub state: String,
    /// The state that it is in after the rule has applied. Default: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

impl InScenario {
    /// While the scenario `name` is in `state`.
    pub fn new(name: impl Into<String>, state: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: state.into(),
            then: None,
        }
    }

    /// And then in the state `then`.
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

/// Numbers, from one to another.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Numbers {
    /// The first one.
    #[serde(default)]
    pub from: u64,
    /// The last one. Default: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl Numbers {
    /// From the one to the other, both included.
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

/// A header's name, if it is one.
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
                json!({"rate": 1024, "effect": "silence"}),
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
