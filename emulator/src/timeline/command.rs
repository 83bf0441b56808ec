//! The operations on a running emulator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::TimelineStep;
use crate::fault::Rule;
use crate::preset::Preset;

/// An operation on a running emulator, from the library, the admin API or a timeline.
/// [`Emulator::apply`](crate::Emulator::apply) performs it.
///
/// A timeline can have the commands up to [`Scenario`](Self::Scenario).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(
    rename = "Action",
    description = "Something to do to a running emulator."
)]
#[non_exhaustive]
pub enum Command {
    /// Change `instance`, `metadata-options` or `events` with a JSON merge patch (RFC 7386).
    Change(Map<String, Value>),
    /// Add a rule.
    Fault(Box<Rule>),
    /// Remove the rule with this name, if there is one.
    Heal(String),
    /// Remove all rules.
    HealAll,
    /// Apply a preset.
    Preset(Preset),
    /// Remove a preset, if it is applied.
    RemovePreset(Preset),
    /// Issue new credentials for the role.
    RotateCredentials,
    /// Revoke all tokens.
    RevokeTokens,
    /// Set the state of a scenario.
    Scenario(ToState),
    /// Add a rule, and remove the rule with the same name, if there is one.
    #[serde(skip)]
    PutFault(Box<Rule>),
    /// Replace all rules with these.
    #[serde(skip)]
    ReplaceFaults(Vec<Rule>),
    /// Withdraw all events.
    #[serde(skip)]
    ClearEvents,
    /// Replace all steps of the timeline with these. Their times count from now.
    #[serde(skip)]
    SetTimeline(Vec<TimelineStep>),
    /// Take the step of the timeline with this name now.
    #[serde(skip)]
    TakeStep(String),
    /// Forget all exchanges in the journal.
    #[serde(skip)]
    ClearJournal,
    /// Restore the configuration that the emulator started with, its timeline included. Clear the
    /// journal and the states of scenarios. The clock, tokens and credentials stay.
    #[serde(skip)]
    Reset,
}

impl Command {
    /// The rules that the command adds.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        match self {
            Self::Fault(rule) | Self::PutFault(rule) => vec![rule.as_ref().clone()],
            Self::ReplaceFaults(rules) => rules.clone(),
            Self::Preset(preset) => preset.rules(),
            Self::SetTimeline(steps) => {
                let commands = steps.iter().flat_map(|step| &step.commands);
                commands.flat_map(Self::rules).collect()
            }
            Self::Change(_)
            | Self::Heal(_)
            | Self::HealAll
            | Self::RemovePreset(_)
            | Self::RotateCredentials
            | Self::RevokeTokens
            | Self::Scenario(_)
            | Self::ClearEvents
            | Self::TakeStep(_)
            | Self::ClearJournal
            | Self::Reset => Vec::new(),
        }
    }

    /// Whether a timeline, in a configuration file too, can have the command.
    pub(crate) fn is_for_timelines(&self) -> bool {
        match self {
            Self::Change(_)
            | Self::Fault(_)
            | Self::Heal(_)
            | Self::HealAll
            | Self::Preset(_)
            | Self::RemovePreset(_)
            | Self::RotateCredentials
            | Self::RevokeTokens
            | Self::Scenario(_) => true,
            Self::PutFault(_)
            | Self::ReplaceFaults(_)
            | Self::ClearEvents
            | Self::SetTimeline(_)
            | Self::TakeStep(_)
            | Self::ClearJournal
            | Self::Reset => false,
        }
    }
}

/// A scenario, and the state to set it to.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ToState {
    /// The name of the scenario.
    pub name: String,
    /// The state.
    pub state: String,
}

impl ToState {
    /// The scenario `name`, in `state`.
    pub fn new(name: impl Into<String>, state: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: state.into(),
        }
    }
}

/// The outcome of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The command took effect.
    Done,
    /// Nothing changed, because what the command names does not exist.
    Absent,
}
