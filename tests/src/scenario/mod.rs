//! Scenarios: what IMDS does, what the client is asked, and what must be seen.
//!
//! A scenario is a TOML file about one behaviour. Unknown keys are errors.
//!
//! ```
//! use imds_conformance::scenario::Scenario;
//!
//! let scenario = Scenario::parse(
//!     "token/replaced-after-401",
//!     r#"
//!     behaviour = "Replaces a token that IMDS answers with 401, within the same call"
//!     weight = "must"
//!     rests-on = ["I17", "B2.5"]
//!     why = "IMDS forgets its tokens when it restarts."
//!     steps = [
//!         { get = { gives = "current" } },
//!         { do = "revoke_tokens" },
//!         { advance = "7h" },
//!         { get = { gives = "new" } },
//!     ]
//!     journal = [{ requests = { number = 2, of = { method = "PUT" } } }]
//!     "#,
//! )?;
//! assert!(scenario.needs_time());
//! # Ok::<(), imds_conformance::scenario::ScenarioError>(())
//! ```

mod library;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use chrono::TimeDelta;
use imds_emulator::config::{Config, Layers, Span};
use imds_emulator::fault::Rule;
use imds_emulator::journal::Assertion;
use imds_emulator::timeline::{Command, TimelineStep};
use serde::{Deserialize, Serialize};

pub use self::library::{TEMPLATE, built_in, folder};

/// One behaviour of an IMDS client, and how to verify it.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// `GROUP/NAME`: the names of the folder and of the file, without its extension.
    pub id: String,
    /// The file's content.
    #[serde(flatten)]
    content: Content,
    /// The emulator's configuration.
    #[serde(skip)]
    pub config: Config,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Content {
    behaviour: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    formerly: Vec<String>,
    weight: Weight,
    rests_on: Vec<String>,
    why: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
    #[serde(default, skip_serializing)]
    emulator: toml::Table,
    #[serde(default)]
    env: BTreeMap<String, String>,
    steps: Vec<Step>,
    #[serde(default)]
    journal: Vec<Assertion>,
}

/// How much a behaviour matters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Without it, programs fail or leak secrets.
    Must,
    /// Without it, programs keep working, but worse.
    Should,
    /// Nice to have.
    May,
}

/// A step of a scenario.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Ask the client for credentials.
    Get(Get),
    /// Ask the client for a path of the metadata tree.
    Metadata(Metadata),
    /// Tell the client that AWS rejected its last credentials, or other credentials.
    Reject(Rejected),
    /// Advance the clocks of the emulator and of the client.
    Advance(Span),
    /// Set back the wall clocks of the emulator and of the client.
    SetBack(Span),
    /// Wait in real time.
    Wait(Span),
    /// Inject a fault.
    Fault(Box<Rule>),
    /// Remove a fault.
    Heal(String),
    /// Any other command of the emulator.
    Do(Box<Command>),
    /// Check the journal.
    Journal(Vec<Assertion>),
    /// Clear the journal.
    #[serde(alias = "forget")]
    Clear(Cleared),
}

/// What is cleared.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cleared {
    /// The journal.
    Journal,
}

/// The credentials that AWS rejected.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejected {
    /// The last ones that the client returned.
    Last,
    /// Credentials that the client never returned.
    #[serde(alias = "others")]
    Other,
}

/// A call for credentials, and its expected result.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Get {
    /// The number of concurrent callers. Default: 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub concurrent: usize,
    /// What each caller must receive.
    pub gives: Gives,
    /// The accepted kinds of error. An error without a kind is accepted, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Vec<String>>,
    /// The longest time until the answer, in real time. Default: 15 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// Whether the expiration that the client states must be in the future. Default: true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub valid: bool,
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

/// What a caller must receive.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gives {
    /// Any credentials.
    Credentials,
    /// The credentials that IMDS currently issues.
    Current,
    /// The same credentials as before.
    Same,
    /// Credentials that the client has not returned before.
    New,
    /// An error.
    Nothing,
}

/// A call for a path of the metadata tree, and its expected result.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metadata {
    /// The path below `/latest/meta-data/`.
    pub path: String,
    /// The expected value. Without it, an error is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives: Option<String>,
    /// The accepted kinds of error. An error without a kind is accepted, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Vec<String>>,
    /// The longest time until the answer, in real time. Default: 15 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

/// The kinds of errors in scenarios and in the line protocol.
pub const KINDS: [&str; 16] = [
    "disabled",
    "invalid-configuration",
    "denied",
    "unavailable",
    "timeout",
    "throttled",
    "forbidden",
    "not-found",
    "no-role",
    "refused",
    "expired",
    "unexpected-status",
    "invalid-response",
    "unsupported",
    "component",
    "other",
];

impl Scenario {
    /// Parses a scenario whose id is `GROUP/NAME`.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] if the scenario is invalid.
    pub fn parse(id: &str, text: &str) -> Result<Self, ScenarioError> {
        let wrong = |message: String| ScenarioError {
            id: id.to_owned(),
            message,
        };
        let content: Content = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let mut layers = Layers::new();
        let emulator =
            toml::to_string(&content.emulator).map_err(|error| wrong(error.to_string()))?;
        layers.toml("[emulator]", &emulator);
        let scenario = Self {
            id: id.to_owned(),
            config: layers.config().map_err(|error| wrong(error.to_string()))?,
            content,
        };
        scenario.check().map_err(wrong)?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), String> {
        if self
            .id
            .split_once('/')
            .is_none_or(|(group, _)| group.is_empty())
        {
            return Err(format!("invalid name {:?}; use GROUP/NAME", self.id));
        }
        if self.content.steps.is_empty() {
            return Err("steps: at least one step is needed".into());
        }
        if self.content.rests_on.is_empty() {
            return Err("rests-on: at least one source is needed".into());
        }
        let mut config = self.config.clone();
        for (at, step) in self.content.steps.iter().enumerate() {
            // A command that the emulator rejects is an error of the scenario, not of the client.
            let command = match step {
                Step::Fault(rule) => Some(Command::Fault(rule.clone())),
                Step::Do(command) => Some(Command::clone(command)),
                _ => None,
            };
            if let Some(command) = command {
                let step = TimelineStep::new(format!("steps[{at}]"), vec![command]);
                config.timeline.push(step);
                config
                    .check()
                    .map_err(|invalid| format!("steps[{at}]: {invalid}"))?;
            }
            let kinds = match step {
                Step::Get(get) => {
                    if !(1..=1000).contains(&get.concurrent) {
                        return Err(format!(
                            "steps[{at}].get.concurrent is {}; accepted: 1 to 1000",
                            get.concurrent
                        ));
                    }
                    if get.error.is_some() && get.gives != Gives::Nothing {
                        return Err(format!("steps[{at}].get.error needs gives = \"nothing\""));
                    }
                    &get.error
                }
                Step::Metadata(metadata) => {
                    if metadata.error.is_some() && metadata.gives.is_some() {
                        return Err(format!(
                            "steps[{at}].metadata has both gives and error; use one"
                        ));
                    }
                    &metadata.error
                }
                _ => &None,
            };
            for kind in kinds.iter().flatten() {
                if !KINDS.contains(&kind.as_str()) {
                    let known = KINDS.join(", ");
                    return Err(format!("steps[{at}]: error is {kind:?}; accepted: {known}"));
                }
            }
        }
        if self.expectations() == 1 {
            return Err(
                "no expectation: add a step get or metadata, or assertions to journal".into(),
            );
        }
        Ok(())
    }

    /// What the client does, as a sentence without its subject.
    pub fn behaviour(&self) -> &str {
        &self.content.behaviour
    }

    /// Names that the scenario had before: filters, `explain` and baselines still accept them.
    pub fn formerly(&self) -> &[String] {
        &self.content.formerly
    }

    /// Whether this is the scenario's name, or was.
    pub fn is_named(&self, name: &str) -> bool {
        self.id == name || self.content.formerly.iter().any(|former| former == name)
    }

    /// Whether one of the scenario's names, or its behaviour, contains `filter`, in any case.
    pub fn matches(&self, filter: &str) -> bool {
        let filter = filter.to_lowercase();
        let names = [&self.id, &self.content.behaviour];
        let mut texts = names.into_iter().chain(&self.content.formerly);
        texts.any(|text| text.to_lowercase().contains(&filter))
    }

    /// The part of the id before the slash.
    pub fn group(&self) -> &str {
        self.id.split_once('/').map_or("", |(group, _)| group)
    }

    /// How much it matters.
    pub fn weight(&self) -> Weight {
        self.content.weight
    }

    /// The rules and sources that the scenario rests on.
    pub fn rests_on(&self) -> &[String] {
        &self.content.rests_on
    }

    /// Why it matters.
    pub fn why(&self) -> &str {
        &self.content.why
    }

    /// Texts that the client must not write, in addition to the secrets of the emulator.
    pub fn secrets(&self) -> &[String] {
        &self.content.secrets
    }

    /// The client's environment in addition to the endpoint. `{endpoint}`, `{authority}` and
    /// `{elsewhere}` stand for the emulator's URL, its address, and a port without a listener.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.content.env
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.content.steps
    }

    /// The steps, to change them.
    pub fn steps_mut(&mut self) -> &mut [Step] {
        &mut self.content.steps
    }

    /// What the journal must show at the end.
    pub fn journal(&self) -> &[Assertion] {
        &self.content.journal
    }

    /// Whether a step moves the clock.
    pub fn needs_time(&self) -> bool {
        self.steps()
            .iter()
            .any(|step| matches!(step, Step::Advance(_) | Step::SetBack(_)))
    }

    /// Whether the client needs to answer more than one question.
    pub fn needs_session(&self) -> bool {
        let asked = self
            .steps()
            .iter()
            .filter(|step| matches!(step, Step::Get(_) | Step::Metadata(_) | Step::Reject(_)));
        asked.count() > 1
    }

    /// Whether a step has concurrent callers.
    pub fn needs_concurrency(&self) -> bool {
        let many = |step: &Step| matches!(step, Step::Get(get) if get.concurrent > 1);
        self.steps().iter().any(many)
    }

    /// Whether a step rejects credentials.
    pub fn needs_reject(&self) -> bool {
        self.steps()
            .iter()
            .any(|step| matches!(step, Step::Reject(_)))
    }

    /// Whether a step reads metadata.
    pub fn needs_metadata(&self) -> bool {
        self.steps()
            .iter()
            .any(|step| matches!(step, Step::Metadata(_)))
    }

    /// The longest time that the scenario explicitly gives the client for an answer.
    pub(crate) fn may_take(&self) -> TimeDelta {
        let of_step = |step: &Step| match step {
            Step::Get(get) => get.within.map(TimeDelta::from),
            Step::Metadata(metadata) => metadata.within.map(TimeDelta::from),
            _ => None,
        };
        let longest = self.steps().iter().filter_map(of_step).max();
        longest.unwrap_or_default()
    }

    /// The number of expectations.
    pub fn expectations(&self) -> usize {
        let of_step = |step: &Step| match step {
            Step::Get(_) | Step::Metadata(_) => 1,
            Step::Journal(assertions) => assertions.len(),
            _ => 0,
        };
        // And one: that the client writes no secret.
        self.steps().iter().map(of_step).sum::<usize>() + self.journal().len() + 1
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
        })
    }
}

/// For `explain` and reports.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(get) => {
                match get.concurrent {
                    1 => f.write_str("get")?,
                    callers => write!(f, "get by {callers} concurrent callers")?,
                }
                write!(f, ": {}", get.gives)?;
                if let Some(kinds) = &get.error {
                    write!(f, " ({})", kinds.join(" or "))?;
                }
                if let Some(within) = get.within {
                    write!(f, ", within {within}")?;
                }
                match get.valid {
                    true => Ok(()),
                    false => f.write_str(", which may have expired"),
                }
            }
            Self::Metadata(metadata) => {
                write!(f, "metadata {}: ", metadata.path)?;
                match &metadata.gives {
                    Some(value) => write!(f, "{value:?}")?,
                    None => f.write_str("an error")?,
                }
                if let Some(kinds) = &metadata.error {
                    write!(f, " ({})", kinds.join(" or "))?;
                }
                match metadata.within {
                    Some(within) => write!(f, ", within {within}"),
                    None => Ok(()),
                }
            }
            Self::Reject(Rejected::Last) => f.write_str("report that AWS rejected the credentials"),
            Self::Reject(Rejected::Other) => {
                f.write_str("report that AWS rejected other credentials")
            }
            Self::Advance(by) => write!(f, "advance the clock by {by}"),
            Self::SetBack(by) => write!(f, "set the wall clock back by {by}"),
            Self::Wait(time) => write!(f, "wait for {time} of real time"),
            Self::Fault(rule) => {
                write!(f, "inject the fault {:?}: {}", rule.name, json(&rule.fault))
            }
            Self::Heal(name) => write!(f, "remove the fault {name:?}"),
            Self::Do(action) => write!(f, "IMDS: {}", json(action)),
            Self::Journal(assertions) => {
                let each: Vec<_> = assertions.iter().map(ToString::to_string).collect();
                write!(f, "check the journal: {}", each.join("; "))
            }
            Self::Clear(Cleared::Journal) => f.write_str("clear the journal"),
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl fmt::Display for Gives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "any credentials",
            Self::Current => "the credentials that IMDS currently issues",
            Self::Same => "the same credentials as before",
            Self::New => "new credentials",
            Self::Nothing => "an error",
        })
    }
}

/// An invalid scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The id of the scenario.
    pub id: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scenario {}: {}", self.id, self.message.trim_end())
    }
}

impl std::error::Error for ScenarioError {}

/// A folder of scenarios that cannot be read.
#[derive(Debug)]
pub struct FolderError {
    /// The folder or the file.
    pub path: PathBuf,
    /// What is wrong.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}", self.path.display())
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
