//! What came of a run, as a value, and as text, JSON, JUnit XML, TAP and a page.

use std::collections::BTreeMap;
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

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The version of this tool.
    pub version: &'static str,
    /// When.
    pub date: DateTime<Utc>,
    /// What decided on all that is random.
    pub seed: u64,
    /// The clients, in their order.
    pub clients: Vec<Measured>,
    /// The scenarios, in their order.
    pub scenarios: Vec<Told>,
    /// What became of each client in each scenario, in the order of clients and then of scenarios.
    pub outcomes: Vec<Outcome>,
}

/// A client.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// What it can do.
    pub offers: Offers,
}

/// A scenario, in words.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Told {
    /// Its id.
    pub id: String,
    /// Its group.
    pub group: String,
    /// The sentence that it is about.
    pub behaviour: String,
    /// How much it matters.
    pub weight: Weight,
    /// Rules and sources.
    pub rests_on: Vec<String>,
    /// Why it matters.
    pub why: String,
    /// Its steps.
    pub steps: Vec<String>,
    /// What the journal must show at the end.
    pub journal: Vec<String>,
}

impl From<&Scenario> for Told {
    fn from(scenario: &Scenario) -> Self {
        Self {
            id: scenario.id.clone(),
            group: scenario.group().to_owned(),
            behaviour: scenario.behaviour().to_owned(),
            weight: scenario.weight(),
            rests_on: scenario.rests_on().to_vec(),
            why: scenario.why().trim().to_owned(),
            steps: scenario.steps().iter().map(ToString::to_string).collect(),
            journal: scenario
                .journal()
                .iter()
                .map(|assertion| serde_json::to_string(assertion).unwrap_or_default())
                .collect(),
        }
    }
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A matrix that a person reads, and what went wrong.
    Text,
    /// Everything.
    Json,
    /// For CI.
    Junit,
    /// For CI: the Test Anything Protocol, version 14.
    Tap,
    /// A page that stands alone.
    Html,
    /// The matrix as a table of Markdown.
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
    /// Of a run.
    pub fn new(
        seed: u64,
        drivers: &[Arc<dyn Driver>],
        scenarios: &[Arc<Scenario>],
        outcomes: Vec<Outcome>,
    ) -> Self {
        let measured = |driver: &Arc<dyn Driver>| Measured {
            name: driver.name().to_owned(),
            offers: driver.offers(),
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            date: Utc::now(),
            seed,
            clients: drivers.iter().map(measured).collect(),
            scenarios: scenarios
                .iter()
                .map(|scenario| Told::from(&**scenario))
                .collect(),
            outcomes,
        }
    }

    /// In this form.
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

    /// What became of a client in a scenario.
    pub fn outcome(&self, client: &str, scenario: &str) -> Option<&Outcome> {
        let same = |outcome: &&Outcome| outcome.client == client && outcome.scenario == scenario;
        self.outcomes.iter().find(same)
    }

    /// The scenario of this id.
    pub fn scenario(&self, id: &str) -> Option<&Told> {
        self.scenarios.iter().find(|scenario| scenario.id == id)
    }

    /// How a client did.
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

    /// What speaks against success: what failed and must not, or, with a baseline, what is worse than
    /// that.
    pub fn objections(&self, baseline: Option<&Baseline>, strict: bool) -> Vec<&Outcome> {
        let counts = |outcome: &&Outcome| {
            let weight = self
                .scenario(&outcome.scenario)
                .map(|scenario| scenario.weight);
            match (&outcome.verdict, baseline) {
                (Verdict::Passed, _) | (Verdict::NotRun(_), None) => false,
                (Verdict::Failed, Some(baseline)) => baseline.verdict(outcome) != Some("failed"),
                // What was tried then, and passed, and is not tried any more.
                (Verdict::NotRun(_), Some(baseline)) => baseline.verdict(outcome) == Some("passed"),
                (Verdict::Failed, None) => strict || weight == Some(Weight::Must),
            }
        };
        self.outcomes.iter().filter(counts).collect()
    }
}

/// How often a client did what was expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tally {
    /// It did.
    pub passed: usize,
    /// It did not.
    pub failed: usize,
    /// It could not be tried.
    pub not_run: usize,
}

/// What was so before: the JSON report of an earlier run.
#[derive(Clone, Debug)]
pub struct Baseline(BTreeMap<(String, String), String>);

impl Baseline {
    /// Reads a JSON report.
    ///
    /// # Errors
    ///
    /// If it is none.
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

    /// What it was before. What is new was nothing.
    fn verdict(&self, outcome: &Outcome) -> Option<&str> {
        let key = (outcome.client.clone(), outcome.scenario.clone());
        self.0.get(&key).map(String::as_str)
    }
}
