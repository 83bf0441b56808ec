//! The matrix of clients in the documentation: each failure is explained.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imds_conformance::scenario::built_in;
use serde::Deserialize;

#[derive(Deserialize)]
struct Matrix {
    clients: Vec<Client>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Client {
    name: String,
    passed: Vec<String>,
    failed: BTreeMap<String, Failure>,
    not_run: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Failure {
    expected: String,
    seen: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Notes {
    in_common: BTreeMap<String, String>,
    explanation: Vec<Explanation>,
}

/// Explains failures of clients, of all of them by default. The first one that matches is printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explanation {
    /// Scenarios. `*` stands for any characters.
    scenarios: Vec<String>,
    clients: Option<Vec<String>>,
    because: String,
}

impl Explanation {
    fn explains(&self, client: &str, scenario: &str) -> bool {
        let clients = self.clients.as_ref();
        clients.is_none_or(|clients| clients.iter().any(|known| known == client))
            && self
                .scenarios
                .iter()
                .any(|pattern| matches(pattern, scenario))
    }
}

fn matches(pattern: &str, scenario: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == scenario,
        Some((before, after)) => scenario.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter_map(|at| rest.get(at..))
                .any(|rest| matches(after, rest))
        }),
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn matrix() -> Matrix {
    serde_json::from_slice(&fs::read(docs().join("matrix.json")).unwrap()).unwrap()
}

fn notes() -> Notes {
    toml::from_str(&fs::read_to_string(docs().join("matrix.toml")).unwrap()).unwrap()
}

#[test]
fn every_failure_of_a_client_has_an_explanation() {
    let notes = notes();
    let mut without = Vec::new();
    for client in matrix().clients {
        if !client.failed.is_empty() && !notes.in_common.contains_key(&client.name) {
            without.push(format!("{}: what its failures have in common", client.name));
        }
        for (scenario, Failure { expected, seen }) in &client.failed {
            let explained = |each: &Explanation| each.explains(&client.name, scenario);
            if !notes.explanation.iter().any(explained) {
                let what = format!(
                    "{} {scenario}: expected {expected}; seen: {seen}",
                    client.name
                );
                without.push(what);
            }
        }
    }
    assert!(
        without.is_empty(),
        "add to matrix.toml:\n{}",
        without.join("\n")
    );
}

#[test]
fn every_explanation_is_of_a_failure() {
    let (matrix, notes) = (matrix(), notes());
    let mut used = BTreeSet::new();
    for client in &matrix.clients {
        for scenario in client.failed.keys() {
            let explained = |each: &Explanation| each.explains(&client.name, scenario);
            used.extend(notes.explanation.iter().position(explained));
        }
    }
    for (at, explanation) in notes.explanation.iter().enumerate() {
        assert!(
            used.contains(&at),
            "explains no failure: {}",
            explanation.because
        );
    }
    for name in notes.in_common.keys() {
        let known = |client: &Client| client.name == *name && !client.failed.is_empty();
        assert!(matrix.clients.iter().any(known), "{name} fails no scenario");
    }
}

#[test]
fn the_data_has_no_scenario_that_no_longer_exists() {
    let known = built_in().unwrap();
    let known: BTreeSet<_> = known.into_iter().map(|known| known.id).collect();
    for client in matrix().clients {
        let ran = client.passed.into_iter().chain(client.failed.into_keys());
        for scenario in ran.chain(client.not_run.into_keys()) {
            assert!(known.contains(&scenario), "{}: {scenario}", client.name);
        }
    }
}

#[test]
fn the_page_shows_the_data() {
    let (matrix, notes) = (matrix(), notes());
    let page = fs::read_to_string(docs().join("matrix.md")).unwrap();
    for client in matrix.clients {
        let row = match client.failed.is_empty() {
            true => format!("| {} |", client.name),
            false => format!("| [{}](#{}) |", client.name, client.name),
        };
        let counts = [
            client.passed.len(),
            client.failed.len(),
            client.not_run.len(),
        ];
        let counts = format!("| {} | {} | {} |", counts[0], counts[1], counts[2]);
        let line = page.lines().find(|line| line.starts_with(&row));
        assert!(
            line.is_some_and(|line| line.ends_with(&counts)),
            "{row} … {counts}"
        );
    }
    let words: Vec<_> = page.split_whitespace().collect();
    let page = words.join(" ");
    for Explanation { because, .. } in notes.explanation {
        assert!(page.contains(&because), "{because}");
    }
}
