//! Events that are announced to an instance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use super::LifeCycle;
use crate::value::{Invalid, Key, Moment, is_name};

/// What happens to an instance `[I54]` to `[I58]`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Events {
    /// It is a spot instance that is to be interrupted `[I54]` `[I55]`.
    pub spot_interruption: Option<SpotInterruption>,
    /// It is more likely than before to be interrupted `[I56]`.
    pub rebalance_recommendation: Option<RebalanceRecommendation>,
    /// Maintenance that is scheduled or over `[I57]`.
    pub maintenance: Vec<Maintenance>,
}

/// The interruption of a spot instance `[I54]` `[I55]`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SpotInterruption {
    /// What becomes of the instance.
    pub action: SpotAction,
    /// When the notice appears. Default: at once.
    #[serde(default)]
    pub announced: Moment,
    /// When it happens. Default: two minutes after the notice; for `hibernate` with it.
    #[serde(default)]
    pub time: Option<Moment>,
}

impl SpotInterruption {
    /// An interruption that is announced at once, and happens when AWS would do it.
    pub fn new(action: SpotAction) -> Self {
        Self {
            action,
            announced: Moment::default(),
            time: None,
        }
    }
}

/// What becomes of an interrupted spot instance `[I54]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum SpotAction {
    Stop,
    Terminate,
    Hibernate,
}

/// A recommendation to rebalance `[I56]`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RebalanceRecommendation {
    /// When it appears; its `noticeTime`. Default: at once.
    pub announced: Moment,
}

/// A maintenance event `[I57]`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Maintenance {
    /// What is done.
    pub code: MaintenanceCode,
    /// In words. Default: AWS's words for the code.
    #[serde(default)]
    pub description: Option<String>,
    /// `instance-event-` and 17 hexadecimal digits. Default: from its place in the list.
    #[serde(default)]
    pub event_id: Option<String>,
    /// When it appears. Default: at once.
    #[serde(default)]
    pub announced: Moment,
    /// When it begins at the earliest. Default: seven days after it appears.
    #[serde(default)]
    pub not_before: Option<Moment>,
    /// When it ends at the latest. Default: two hours after it begins at the earliest.
    #[serde(default)]
    pub not_after: Option<Moment>,
    /// `active` ones are in `scheduled`, the others in `history`.
    #[serde(default)]
    pub state: MaintenanceState,
}

impl Maintenance {
    /// Active maintenance, announced at once, a week ahead.
    pub fn new(code: MaintenanceCode) -> Self {
        Self {
            code,
            description: None,
            event_id: None,
            announced: Moment::default(),
            not_before: None,
            not_after: None,
            state: MaintenanceState::Active,
        }
    }
}

/// What is done in maintenance.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum MaintenanceCode {
    InstanceReboot,
    SystemReboot,
    SystemMaintenance,
    InstanceRetirement,
    InstanceStop,
}

impl MaintenanceCode {
    /// What AWS says of it.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::InstanceReboot | Self::SystemReboot => "scheduled reboot",
            Self::SystemMaintenance => "scheduled maintenance",
            Self::InstanceRetirement => "The instance is running on degraded hardware",
            Self::InstanceStop => "scheduled stop",
        }
    }
}

/// The state of maintenance.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum MaintenanceState {
    #[default]
    Active,
    Completed,
    Canceled,
}

impl Events {
    pub(crate) fn check(&self, life_cycle: LifeCycle, key: &Key) -> Result<(), Invalid> {
        if let Some(interruption) = &self.spot_interruption {
            key.field("spot-interruption").unless(
                life_cycle == LifeCycle::Spot,
                interruption.action,
                "an interruption of an instance with instance.life-cycle = \"spot\"",
            )?;
        }
        for (at, event) in self.maintenance.iter().enumerate() {
            let key = key.field("maintenance").item(at);
            if let Some(description) = &event.description {
                key.field("description").line(description)?;
            }
            if let Some(id) = &event.event_id {
                key.field("event-id").unless(
                    id.strip_prefix("instance-event-")
                        .is_some_and(|digits| is_name(digits, "")),
                    id,
                    "instance-event- and hexadecimal digits",
                )?;
            }
        }
        Ok(())
    }
}
