//! Scenarios: what IMDS does, what the client is asked, and what is to be seen.
//!
//! A scenario is a TOML file with one behaviour. Keys that are not known are errors.
//!
//! ```
//! use imds_conformance::scenario::Scenario;
//!
//! let scenario = Scenario::parse(
//!     "token/replaced-after-401",
//!     r#"
//!     behaviour = "A token that IMDS refuses is replaced within the call"
//!     weight = "must"
//!     rests-on = ["IMDS 17", "behaviour 2.5"]
//!     why = "IMDS forgets its tokens when it is restarted."
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
use imds_emulator::timeline::{Action, TimelineStep};
use serde::{Deserialize, Serialize};

pub use self::library::{TEMPLATE, built_in, folder};

/// One behaviour of an IMDS client, and how to see it.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// The group and the name: those of the file, without its ending.
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
    weight: Weight,
    rests_on: Vec<String>,
    why: String,
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
    /// Programs fail, or secrets get lost, where it is otherwise.
    Must,
    /// Programs get along, but worse.
    Should,
    /// It would be nice.
    May,
}

/// What is done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The client is asked for credentials.
    Get(Get),
    /// The client is asked for a path of the metadata tree.
    Metadata(Metadata),
    /// The client is told that AWS did not accept the credentials that it gave last, or these ones.
    Reject(Rejected),
    /// Time passes on the emulator's clock and on the client's.
    Advance(Span),
    /// The wall clock is set back: the emulator's and the client's.
    SetBack(Span),
    /// So much time passes in reality.
    Wait(Span),
    /// Something begins to go wrong.
    Fault(Box<Rule>),
    /// It goes wrong no longer.
    Heal(String),
    /// Anything else that the emulator can do.
    Do(Box<Action>),
    /// What the journal must show at this moment.
    Journal(Vec<Assertion>),
    /// The journal is emptied.
    Forget(Forget),
}

/// What is emptied.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forget {
    /// The journal.
    Journal,
}

/// Whose credentials AWS did not accept.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejected {
    /// Those that the client gave last.
    Last,
    /// Some others.
    Others,
}

/// The client is asked for credentials, and this must come of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Get {
    /// So many callers ask at once. Default: 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub concurrent: usize,
    /// What each of them must be given.
    pub gives: Gives,
    /// The kind of error that says it best. Clients that do not tell kinds need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Vec<String>>,
    /// How soon, in reality. Default: 15 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// Whether the credentials must not have ended, by the client's own word. Default: they must
    /// not.
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

/// What a caller must be given.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gives {
    /// Any credentials.
    Credentials,
    /// Those that IMDS has at present.
    Current,
    /// The same as the time before.
    Same,
    /// Others than ever before.
    New,
    /// None.
    Nothing,
}

/// The client is asked for a path of the metadata tree, and this must come of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metadata {
    /// The path below `/latest/meta-data/`.
    pub path: String,
    /// What is there; nothing: an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives: Option<String>,
    /// The kind of error that says it best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Vec<String>>,
    /// How soon, in reality. Default: 15 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

/// What errors can be about. The words of the line protocol and of scenarios.
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
    /// Reads a scenario. `id` is its group and its name.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn parse(id: &str, text: &str) -> Result<Self, ScenarioError> {
        let wrong = |message: String| ScenarioError {
            id: id.to_owned(),
            message,
        };
        let content: Content = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let mut layers = Layers::new();
        let emulator =
            toml::to_string(&content.emulator).map_err(|error| wrong(error.to_string()))?;
        layers
            .toml("[emulator]", &emulator)
            .map_err(|error| wrong(error.to_string()))?;
        let scenario = Self {
            id: id.to_owned(),
            config: layers.config().clone(),
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
            return Err(format!("its name is {:?}; accepted: GROUP/NAME", self.id));
        }
        if self.content.steps.is_empty() {
            return Err("steps: there are none".into());
        }
        if self.content.rests_on.is_empty() {
            return Err("rests-on: a scenario needs a source".into());
        }
        let mut config = self.config.clone();
        for (at, step) in self.content.steps.iter().enumerate() {
            // What the emulator would not do is not the client's fault, and so told before it runs.
            let action = match step {
                Step::Fault(rule) => Some(Action::Fault(rule.clone())),
                Step::Do(action) => Some(Action::clone(action)),
                _ => None,
            };
            if let Some(action) = action {
                let step = TimelineStep::new(format!("steps[{at}]"), vec![action]);
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
                        return Err(format!(
                            "steps[{at}].get.error: only with gives = \"nothing\""
                        ));
                    }
                    &get.error
                }
                Step::Metadata(metadata) => {
                    if metadata.error.is_some() && metadata.gives.is_some() {
                        return Err(format!("steps[{at}].metadata: gives or error, not both"));
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
            return Err("it expects nothing".into());
        }
        Ok(())
    }

    /// The sentence that the scenario is about.
    pub fn behaviour(&self) -> &str {
        &self.content.behaviour
    }

    /// The part of the id before the slash.
    pub fn group(&self) -> &str {
        self.id.split_once('/').map_or("", |(group, _)| group)
    }

    /// How much it matters.
    pub fn weight(&self) -> Weight {
        self.content.weight
    }

    /// The rules and sources behind it.
    pub fn rests_on(&self) -> &[String] {
        &self.content.rests_on
    }

    /// Why it matters.
    pub fn why(&self) -> &str {
        &self.content.why
    }

    /// What is set in the client's environment beside the endpoint. `{endpoint}`, `{authority}` and
    /// `{elsewhere}` stand for the emulator's URL, its address, and a port that nothing listens on.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.content.env
    }

    /// What is done.
    pub fn steps(&self) -> &[Step] {
        &self.content.steps
    }

    /// What the journal must show at the end.
    pub fn journal(&self) -> &[Assertion] {
        &self.content.journal
    }

    /// Whether it moves the clock.
    pub fn needs_time(&self) -> bool {
        self.steps()
            .iter()
            .any(|step| matches!(step, Step::Advance(_) | Step::SetBack(_)))
    }

    /// Whether it asks one client more than once.
    pub fn needs_session(&self) -> bool {
        let asked = self
            .steps()
            .iter()
            .filter(|step| matches!(step, Step::Get(_) | Step::Metadata(_) | Step::Reject(_)));
        asked.count() > 1
    }

    /// Whether several callers ask at once.
    pub fn needs_concurrency(&self) -> bool {
        let many = |step: &Step| matches!(step, Step::Get(get) if get.concurrent > 1);
        self.steps().iter().any(many)
    }

    /// Whether it tells the client that credentials were rejected.
    pub fn needs_reject(&self) -> bool {
        self.steps()
            .iter()
            .any(|step| matches!(step, Step::Reject(_)))
    }

    /// Whether it asks for anything but credentials.
    pub fn needs_metadata(&self) -> bool {
        self.steps()
            .iter()
            .any(|step| matches!(step, Step::Metadata(_)))
    }

    /// The longest time that an answer is given, where the scenario says so: then it is about time.
    pub(crate) fn may_take(&self) -> TimeDelta {
        let of_step = |step: &Step| match step {
            Step::Get(get) => get.within.map(TimeDelta::from),
            Step::Metadata(metadata) => metadata.within.map(TimeDelta::from),
            _ => None,
        };
        let longest = self.steps().iter().filter_map(of_step).max();
        longest.unwrap_or_default()
    }

    /// How many expectations there are, each of which can be turned into its opposite.
    pub fn expectations(&self) -> usize {
        let of_step = |step: &Step| match step {
            Step::Get(_) | Step::Metadata(_) => 1,
            Step::Journal(assertions) => assertions.len(),
            _ => 0,
        };
        // And that there is no secret in what the client writes.
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

/// In words, for `explain` and reports.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(get) => {
                match get.concurrent {
                    1 => f.write_str("get")?,
                    callers => write!(f, "get, {callers} callers at once")?,
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
                    false => f.write_str(", which may have ended"),
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
            Self::Reject(Rejected::Last) => f.write_str("AWS rejects the credentials"),
            Self::Reject(Rejected::Others) => f.write_str("AWS rejects other credentials"),
            Self::Advance(by) => write!(f, "{by} pass"),
            Self::SetBack(by) => write!(f, "the wall clock is set back by {by}"),
            Self::Wait(time) => write!(f, "{time} pass in reality"),
            Self::Fault(rule) => write!(f, "fault {:?}: {}", rule.name, json(&rule.fault)),
            Self::Heal(name) => write!(f, "{name:?} heals"),
            Self::Do(action) => write!(f, "IMDS: {}", json(action)),
            Self::Journal(assertions) => {
                let each: Vec<_> = assertions.iter().map(json).collect();
                write!(f, "the journal shows {}", each.join(" and "))
            }
            Self::Forget(Forget::Journal) => f.write_str("the journal is emptied"),
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl fmt::Display for Gives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "credentials",
            Self::Current => "the credentials that IMDS has",
            Self::Same => "the same credentials again",
            Self::New => "new credentials",
            Self::Nothing => "an error",
        })
    }
}

/// A scenario that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// Which one.
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
