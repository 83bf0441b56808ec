//! The report of a run, as a value and as text, JSON, JUnit XML, TAP, HTML and Markdown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::client::{Driver, Offers};
use crate::run::{Outcome, Verdict};
use crate::scenario::{Scenario, Weight};

mod html;
mod junit;
mod markdown;
mod tap;
mod text;

/// The report of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The version of this tool.
    pub version: &'static str,
    /// When the run ended.
    pub date: DateTime<Utc>,
    /// The seed for everything random.
    pub seed: u64,
    /// Where the scenarios are. `None` for the built-in ones.
    #[serde(skip)]
    pub library: Option<PathBuf>,
    /// Whether the report is about clients or about a server.
    pub subject: Subject,
    /// The clients, in the order of the command line.
    pub clients: Vec<ClientSummary>,
    /// The scenarios, in the order of their ids.
    pub scenarios: Vec<ScenarioSummary>,
    /// One outcome for each client and scenario, in the order of the clients and then of the scenarios.
    pub outcomes: Vec<Outcome>,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// Clients in scenarios.
    Clients,
    /// A server, which takes the place of a client, and checks, which take the place of scenarios.
    Server,
}

/// A client.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientSummary {
    /// Its name.
    pub name: String,
    /// What it supports.
    pub offers: Offers,
}

/// A scenario as text.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScenarioSummary {
    /// Its id.
    pub id: String,
    /// Names that it had before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<String>,
    /// Its group.
    pub group: String,
    /// What the client does, as a sentence without its subject.
    pub behaviour: String,
    /// How much it matters.
    pub weight: Weight,
    /// The rules and sources that it rests on.
    pub rests_on: Vec<String>,
    /// Why it matters.
    pub why: String,
    /// Its steps.
    pub steps: Vec<String>,
    /// What the journal must show at the end.
    pub journal: Vec<String>,
}

impl From<&Scenario> for ScenarioSummary {
    fn from(scenario: &Scenario) -> Self {
        Self {
            id: scenario.id.clone(),
            formerly: scenario.formerly().to_vec(),
            group: scenario.group().to_owned(),
            behaviour: scenario.behaviour().to_owned(),
            weight: scenario.weight(),
            rests_on: scenario.rests_on().to_vec(),
            why: scenario.why().trim().to_owned(),
            steps: scenario.steps().iter().map(ToString::to_string).collect(),
            journal: scenario.journal().iter().map(ToString::to_string).collect(),
        }
    }
}

/// The formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A matrix for the terminal, followed by the failures.
    Text,
    /// All data.
    Json,
    /// JUnit XML, for CI.
    Junit,
    /// The Test Anything Protocol, version 14, for CI.
    Tap,
    /// A self-contained HTML page.
    Html,
    /// The matrix as a Markdown table, followed by the failures.
    Markdown,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "text" => Self::Text,
            "json" => Self::Json,
            "junit" => Self::Junit,
            "tap" => Self::Tap,
            "html" => Self::Html,
            "markdown" => Self::Markdown,
            _ => return Err("accepted: text, json, junit, tap, html, markdown".into()),
        })
    }
}

impl Report {
    /// The report of a run that has just ended.
    pub fn new(
        seed: u64,
        drivers: &[Arc<dyn Driver>],
        scenarios: &[Arc<Scenario>],
        outcomes: Vec<Outcome>,
    ) -> Self {
        let measured = |driver: &Arc<dyn Driver>| ClientSummary {
            name: driver.name().to_owned(),
            offers: driver.offers(),
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            date: Utc::now(),
            seed,
            library: None,
            subject: Subject::Clients,
            clients: drivers.iter().map(measured).collect(),
            scenarios: scenarios
                .iter()
                .map(|scenario| ScenarioSummary::from(&**scenario))
                .collect(),
            outcomes,
        }
    }

    /// Renders the report.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Text => text::render(self),
            Format::Json => serde_json::to_string_pretty(self).unwrap_or_default() + "\n",
            Format::Junit => junit::render(self),
            Format::Tap => tap::render(self),
            Format::Html => html::render(self),
            Format::Markdown => markdown::render(self),
        }
    }

    /// The outcome of a scenario for a client.
    pub fn outcome(&self, client: &str, scenario: &str) -> Option<&Outcome> {
        let same = |outcome: &&Outcome| outcome.client == client && outcome.scenario == scenario;
        self.outcomes.iter().find(same)
    }

    /// The scenario with this id.
    pub fn scenario(&self, id: &str) -> Option<&ScenarioSummary> {
        self.scenarios.iter().find(|scenario| scenario.id == id)
    }

    /// The score of a client.
    pub fn tally(&self, client: &str) -> Tally {
        let mut tally = Tally::default();
        for outcome in self
            .outcomes
            .iter()
            .filter(|outcome| outcome.client == client)
        {
            match outcome.verdict {
                Verdict::Passed => tally.passed += 1,
                Verdict::Failed => tally.failed += 1,
                Verdict::NotRun(_) => tally.not_run += 1,
            }
        }
        tally
    }

    /// The outcomes that make the run a failure: failed `must` scenarios, or all failed scenarios if
    /// `strict` is set. With a baseline, the outcomes that are worse than there.
    pub fn objections(&self, baseline: Option<&Baseline>, strict: bool) -> Vec<&Outcome> {
        let counts = |outcome: &&Outcome| {
            let scenario = self.scenario(&outcome.scenario);
            let weight = scenario.map(|scenario| scenario.weight);
            let formerly = scenario.map_or(&[][..], |scenario| &scenario.formerly);
            let before = baseline.map(|baseline| baseline.verdict(outcome, formerly));
            match (&outcome.verdict, before) {
                (Verdict::Passed, _) | (Verdict::NotRun(_), None) => false,
                (Verdict::Failed, Some(before)) => before != Some("failed"),
                // It passed before, and is no longer run.
                (Verdict::NotRun(_), Some(before)) => before == Some("passed"),
                (Verdict::Failed, None) => strict || weight == Some(Weight::Must),
            }
        };
        self.outcomes.iter().filter(counts).collect()
    }
}

/// The score of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tally {
    /// Scenarios that passed.
    pub passed: usize,
    /// Scenarios that failed.
    pub failed: usize,
    /// Scenarios that were not run.
    pub not_run: usize,
}

/// The verdicts in the JSON report of an earlier run.
#[derive(Clone, Debug)]
pub struct Baseline(BTreeMap<(String, String), String>);

impl Baseline {
    /// Reads a JSON report.
    ///
    /// # Errors
    ///
    /// If `json` is not such a report.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Run {
            outcomes: Vec<Known>,
        }
        #[derive(Deserialize)]
        struct Known {
            client: String,
            scenario: String,
            verdict: String,
        }
        let run: Run = serde_json::from_str(json)?;
        let known = run.outcomes.into_iter();
        Ok(Self(
            known
                .map(|known| ((known.client, known.scenario), known.verdict))
                .collect(),
        ))
    }

    /// The verdict of the earlier run, if it had this scenario, by any of its names.
    fn verdict(&self, outcome: &Outcome, formerly: &[String]) -> Option<&str> {
        let mut names = [&outcome.scenario].into_iter().chain(formerly);
        names.find_map(|name| {
            let key = (outcome.client.clone(), name.clone());
            self.0.get(&key).map(String::as_str)
        })
    }
}
