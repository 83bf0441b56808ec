//! The checks of a rule.

use std::fmt::Display;

use http::Method;
use serde::Serialize;

use super::kinds::Nature;
use super::{Match, Rule, header};
use crate::request::check_glob;
use crate::value::{Checks, Invalid, Key, all, is_name};

impl Rule {
    /// Checks the rule; `key` is where it stands in the configuration.
    pub(crate) fn check(&self, key: &Key) -> Result<(), Invalid> {
        all([
            key.field("name").unless(
                is_name(&self.name, "-_. ")
                    && self.name.trim() == self.name
                    && self.name.len() <= 64,
                &self.name,
                "1 to 64 letters, digits, spaces and - _ ., without a space at either end",
            ),
            self.matches.check(&key.field("match")),
            self.check_when(&key.field("when")),
            self.fault.check(&key.field("fault")),
            self.check_reach(key),
        ])
    }

    fn check_when(&self, key: &Key) -> Result<(), Invalid> {
        let when = &self.when;
        let mut checks = Checks::default();
        if let Some(probability) = when.probability {
            let right = (0.0..=1.0).contains(&probability);
            checks.add(
                key.field("probability")
                    .unless(right, probability, "0 to 1"),
            );
        }
        for (name, span) in [("duration", when.duration), ("ttl", when.ttl)] {
            if let Some(span) = span {
                checks.add(key.field(name).longer_than_zero(span));
            }
        }
        if let Some(count) = when.count {
            checks.add(key.field("count").unless(count > 0, count, "1 or more"));
        }
        if let Some(scenario) = &when.scenario {
            let key = key.field("scenario");
            checks.add(key.field("name").line(&scenario.name));
            checks.add(key.field("state").line(&scenario.state));
            if let Some(then) = &scenario.then {
                checks.add(key.field("then").line(then));
            }
        }
        checks.result()
    }

    /// A fault that takes effect before a request is read cannot depend on the request.
    fn check_reach(&self, key: &Key) -> Result<(), Invalid> {
        let sender = Match {
            client: self.matches.client,
            process: self.matches.process.clone(),
            ..Match::default()
        };
        let name = self.fault.name();
        let at = |name| key.field(name).compared_with(&key.field("fault"));
        match self.fault.nature() {
            Nature::Listener(..) | Nature::Network(..) => {
                let when = &self.when;
                all([
                    only(
                        &at("match"),
                        self.matches == Match::default(),
                        &self.matches,
                        format_args!(
                            "no condition, because `{name}` takes effect before there is a request; remove \
                             `match`"
                        ),
                    ),
                    only(
                        &at("when"),
                        when.probability.is_none()
                            && when.skip_first == 0
                            && when.count.is_none()
                            && when.scenario.is_none(),
                        when,
                        format_args!(
                            "only `after`, `duration` and `ttl`, because `{name}` takes effect before there is a \
                             request"
                        ),
                    ),
                ])
            }
            Nature::Accept => only(
                &at("match"),
                self.matches == sender,
                &self.matches,
                format_args!(
                    "only `client` and `process`, because `{name}` after `accept` takes effect before there is a \
                     request"
                ),
            ),
            Nature::Response(..)
            | Nature::Delivery(..)
            | Nature::Delay(..)
            | Nature::Instance(..)
            | Nature::Rate(..) => Ok(()),
        }
    }
}

/// Shows conditions of which not all are accepted.
fn only(
    key: &Key,
    are_right: bool,
    conditions: &impl Serialize,
    accepted: impl Display,
) -> Result<(), Invalid> {
    if are_right {
        return Ok(());
    }
    let conditions = serde_json::to_string(conditions).unwrap_or_default();
    Err(key.malformed(format_args!(
        "{conditions} is not accepted; accepted: {accepted}"
    )))
}

impl Match {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        let mut checks = Checks::default();
        if let Some(path) = &self.path {
            let key = key.field("path");
            checks.add(check_glob(&key, path));
            let right = path.starts_with(['/', '*']);
            checks.add(key.unless(right, path, "a path that begins with / or *"));
        }
        if let Some(method) = &self.method {
            checks.add(key.field("method").unless(
                method.parse::<Method>().is_ok() && method.to_uppercase() == *method,
                method,
                "a method in upper case, like GET",
            ));
        }
        for (name, pattern) in &self.headers {
            let key = key.field("headers").field(name);
            checks.add(key.unless(header(name).is_some(), name, "the name of a header"));
            checks.add(check_glob(&key, pattern));
        }
        if let Some(pattern) = &self.user_agent {
            checks.add(check_glob(&key.field("user-agent"), pattern));
        }
        if let Some(pattern) = &self.process {
            let key = key.field("process");
            checks.add(check_glob(&key, pattern));
            checks.add(key.unless(
                cfg!(target_os = "linux"),
                pattern,
                "no condition on this system; processes are found on Linux only",
            ));
        }
        if let Some(numbers) = self.request {
            checks.add(key.field("request").unless(
                numbers.to.is_none_or(|to| to >= numbers.from.max(1)),
                format_args!("{} to {}", numbers.from, numbers.to.unwrap_or_default()),
                "a range of numbers from 1, the smaller number first",
            ));
        }
        checks.result()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The key for which a rule is refused, if it is refused.
    fn refused(rule: Value) -> Option<String> {
        let rule: Rule = serde_json::from_value(rule).unwrap();
        let error = rule.check(&Key::root("rule")).err()?;
        Some(error.below("rule").key().to_owned())
    }

    #[track_caller]
    fn all(rules: impl IntoIterator<Item = Value>, key: Option<&str>) {
        for rule in rules {
            assert_eq!(refused(rule.clone()).as_deref(), key, "{rule}");
        }
    }

    fn with(part: &str, value: &Value) -> Value {
        json!({"name": "x", "fault": {"type": "blackhole"}, part: value})
    }

    #[test]
    fn names_are_short_and_plain() {
        let named = |name: &str| with("name", &name.into());
        all(["x", "A b-c_d.5", &"x".repeat(64)].map(named), None);
        let wrong = ["", " x", "x ", "a/b", "\u{e4}", &"x".repeat(65)];
        all(wrong.map(named), Some("name"));
    }

    #[test]
    fn conditions_are_ones_that_can_hold() {
        let when = |when: Value| with("when", &when);
        let right = [
            json!({"probability": 0}),
            json!({"probability": 1}),
            json!({"duration": "1ms", "ttl": "1ms"}),
            json!({"count": 1}),
            json!({"scenario": {"name": "a", "state": "b", "then": "c"}}),
        ];
        all(right.map(when), None);
        for (key, wrong) in [
            ("probability", json!({"probability": -0.1})),
            ("probability", json!({"probability": 1.1})),
            ("duration", json!({"duration": "0s"})),
            ("ttl", json!({"ttl": "0s"})),
            ("count", json!({"count": 0})),
            ("scenario.name", json!({"scenario": {"name": ""}})),
            (
                "scenario.state",
                json!({"scenario": {"name": "a", "state": ""}}),
            ),
            (
                "scenario.then",
                json!({"scenario": {"name": "a", "then": ""}}),
            ),
        ] {
            all([when(wrong)], Some(&format!("when.{key}")));
        }
    }

    #[test]
    fn requests_are_described_by_what_they_can_have() {
        let of = |matches: Value| with("match", &matches);
        let path = |length: usize| format!("/{}", "x".repeat(length - 1));
        let right = [
            json!({"path": "**/x"}),
            json!({"path": path(1024)}),
            json!({"method": "GET"}),
            json!({"headers": {"X-Mine": "*"}, "user-agent": "a b"}),
            json!({"request": {"from": 2, "to": 2}}),
            json!({"request": {"from": 2}}),
            json!({"request": {"to": 1}}),
        ];
        all(right.map(of), None);
        for (key, wrong) in [
            ("path", json!({"path": "x"})),
            ("path", json!({"path": "/[a"})),
            ("path", json!({"path": path(1025)})),
            ("method", json!({"method": "get"})),
            ("method", json!({"method": "G T"})),
            ("headers.no header", json!({"headers": {"no header": "*"}})),
            ("headers.x", json!({"headers": {"x": "[a"}})),
            ("user-agent", json!({"user-agent": "[a"})),
            ("request", json!({"request": {"from": 2, "to": 1}})),
            ("request", json!({"request": {"to": 0}})),
        ] {
            all([of(wrong)], Some(&format!("match.{key}")));
        }
    }

    #[test]
    fn what_comes_before_a_request_does_not_depend_on_it() {
        let down = |part: &str, value: Value| {
            let mut rule = with(part, &value);
            rule["fault"] = json!({"type": "down"});
            rule
        };
        all(
            [down(
                "when",
                json!({"after": "1s", "duration": "1s", "ttl": "1s"}),
            )],
            None,
        );
        all([down("match", json!({"method": "GET"}))], Some("match"));
        let conditions = [
            json!({"probability": 0.5}),
            json!({"skip-first": 1}),
            json!({"count": 1}),
            json!({"scenario": {"name": "a"}}),
        ];
        all(
            conditions.map(|condition| down("when", condition)),
            Some("when"),
        );
        let reset = |after: &str, matches: Value| {
            let mut rule = with("match", &matches);
            rule["fault"] = json!({"type": "reset_peer", "after": after});
            rule
        };
        let client = json!({"client": "127.0.0.0/8"});
        let path = json!({"client": "127.0.0.0/8", "path": "/"});
        all(
            [
                reset("accept", json!({})),
                reset("accept", client),
                reset("request", path.clone()),
                reset("headers", path.clone()),
            ],
            None,
        );
        all([reset("accept", path)], Some("match"));
    }

    #[test]
    fn the_error_shows_the_conditions_and_says_why_the_fault_accepts_none() {
        for (fault, part, conditions, expected) in [
            (
                "prohibited",
                "match",
                json!({"path": "/x"}),
                r#"match: {"path":"/x"} is not accepted; accepted: no condition, because `prohibited` takes"#,
            ),
            (
                "down",
                "when",
                json!({"count": 1}),
                r#"when: {"count":1} is not accepted; accepted: only `after`, `duration` and `ttl`, because `down`"#,
            ),
        ] {
            let rule = json!({"name": "x", "fault": {"type": fault}, part: conditions});
            let rule: Rule = serde_json::from_value(rule).unwrap();
            let error = rule.check(&Key::root("rule")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn faults_are_ones_that_can_be() {
        let of = |fault: Value| with("fault", &fault);
        let latency = |distribution: Value| {
            of(json!({
                "type": "latency", "distribution": distribution
            }))
        };
        let name = "x".repeat(64);
        let most = 16 * 1024 * 1024;
        let right = [
            json!({"type": "slow_body", "chunks": 1, "total": "0s"}),
            json!({"type": "slicer", "size": 2, "variation": 1, "delay": "0s"}),
            json!({"type": "status", "code": 200}),
            json!({"type": "status", "code": 999}),
            json!({"type": "truncate_body"}),
            json!({"type": "truncate_body", "fraction": 1}),
            json!({"type": "truncate_body", "bytes": 1}),
            json!({"type": "long_body", "bytes": most}),
            json!({"type": "random_data_then_close", "bytes": most}),
            json!({"type": "replace", "code": 404, "headers": {"x": "y"}}),
            json!({"type": "drop_header", "name": "X-Mine"}),
            json!({"type": "redirect", "to": "/", "code": 300}),
            json!({"type": "redirect", "to": "/", "code": 399}),
            json!({"type": "throttle", "rate": 1, "burst": 1}),
            json!({"type": "quota", "limit": 0, "window": "1ms"}),
            json!({"type": "packet_loss", "fraction": 1}),
            json!({"type": "packet_delay", "delay": "60s", "jitter": "60s"}),
            json!({"type": "bandwidth", "rate": 1_000}),
            json!({"type": "bandwidth", "rate": 1_000_000_000}),
            json!({"type": "ttl_cap", "seconds": 1}),
            json!({"type": "ttl_cap", "seconds": 21_600}),
            json!({"type": "role_changed", "to": name}),
            json!({"type": "credentials_error", "code": "Failed", "message": "a b"}),
            json!({"type": "credentials_short_lived", "lifetime": "1ms"}),
        ];
        all(right.map(of), None);
        let distributions = [
            json!({"type": "uniform", "lower": "1s", "upper": "1s"}),
            json!({"type": "lognormal", "median": "1ms", "sigma": 0.1}),
            json!({"type": "normal", "mean": "0s", "deviation": "0s"}),
            json!({"type": "pareto", "scale": "1ms", "shape": 0.1}),
        ];
        all(distributions.map(latency), None);
        for (key, wrong) in [
            (
                "upper",
                json!({"type": "uniform", "lower": "2s", "upper": "1s"}),
            ),
            (
                "median",
                json!({"type": "lognormal", "median": "0s", "sigma": 1}),
            ),
            (
                "sigma",
                json!({"type": "lognormal", "median": "1s", "sigma": 0}),
            ),
            (
                "sigma",
                json!({"type": "lognormal", "median": "1s", "sigma": -1}),
            ),
            (
                "scale",
                json!({"type": "pareto", "scale": "0s", "shape": 1}),
            ),
            (
                "shape",
                json!({"type": "pareto", "scale": "1s", "shape": 0}),
            ),
        ] {
            all([latency(wrong)], Some(&format!("fault.distribution.{key}")));
        }
        for (key, wrong) in [
            (
                ".chunks",
                json!({"type": "slow_body", "chunks": 0, "total": "1s"}),
            ),
            (".size", json!({"type": "slicer", "size": 0, "delay": "1s"})),
            (
                ".variation",
                json!({"type": "slicer", "size": 2, "variation": 2, "delay": "1s"}),
            ),
            (".code", json!({"type": "status", "code": 199})),
            (".code", json!({"type": "status", "code": 1000})),
            (
                "",
                json!({"type": "truncate_body", "fraction": 1, "bytes": 1}),
            ),
            (
                ".fraction",
                json!({"type": "truncate_body", "fraction": 1.1}),
            ),
            (".bytes", json!({"type": "long_body", "bytes": most + 1})),
            (
                ".bytes",
                json!({"type": "random_data_then_close", "bytes": most + 1}),
            ),
            (".code", json!({"type": "replace", "code": 100})),
            (
                ".headers",
                json!({"type": "replace", "headers": {"no header": ""}}),
            ),
            (
                ".headers.x",
                json!({"type": "replace", "headers": {"x": "\n"}}),
            ),
            (".name", json!({"type": "drop_header", "name": "no header"})),
            (".to", json!({"type": "wrong_content_type", "to": "\n"})),
            (".to", json!({"type": "wrong_server", "to": "\n"})),
            (".to", json!({"type": "redirect", "to": "\n"})),
            (".code", json!({"type": "redirect", "to": "/", "code": 299})),
            (".code", json!({"type": "redirect", "to": "/", "code": 400})),
            (".rate", json!({"type": "throttle", "rate": 0})),
            (".burst", json!({"type": "throttle", "burst": 0})),
            (".effect", json!({"type": "throttle", "effect": 199})),
            (
                ".effect",
                json!({"type": "connection_limit", "max": 1, "effect": 199}),
            ),
            (
                ".effect",
                json!({"type": "token_unavailable", "effect": 199}),
            ),
            (
                ".window",
                json!({"type": "quota", "limit": 1, "window": "0s"}),
            ),
            (
                ".effect",
                json!({"type": "quota", "limit": 1, "window": "1s", "effect": 199}),
            ),
            (".fraction", json!({"type": "packet_loss", "fraction": 0})),
            (".fraction", json!({"type": "packet_loss", "fraction": 1.1})),
            (".delay", json!({"type": "packet_delay", "delay": "0s"})),
            (".delay", json!({"type": "packet_delay", "delay": "61s"})),
            (
                ".jitter",
                json!({"type": "packet_delay", "delay": "1s", "jitter": "2s"}),
            ),
            (".rate", json!({"type": "bandwidth", "rate": 999})),
            (".rate", json!({"type": "bandwidth", "rate": 1_000_000_001})),
            (".seconds", json!({"type": "ttl_cap", "seconds": 0})),
            (".seconds", json!({"type": "ttl_cap", "seconds": 21_601})),
            (".path", json!({"type": "category_missing", "path": "[a"})),
            (
                ".path",
                json!({"type": "listing_inconsistent", "path": "[a"}),
            ),
            (".to", json!({"type": "role_changed", "to": "a b"})),
            (".to", json!({"type": "role_changed", "to": name + "x"})),
            (
                ".code",
                json!({"type": "credentials_error", "code": "Success"}),
            ),
            (".code", json!({"type": "credentials_error", "code": "a b"})),
            (
                ".message",
                json!({"type": "credentials_error", "message": ""}),
            ),
            (
                ".lifetime",
                json!({"type": "credentials_short_lived", "lifetime": "0s"}),
            ),
            (".name", json!({"type": "credentials_field", "name": ""})),
        ] {
            all([of(wrong)], Some(&format!("fault{key}")));
        }
    }
}
