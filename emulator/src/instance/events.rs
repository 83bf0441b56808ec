//! Events that are announced to an instance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use super::LifeCycle;
use crate::value::{Invalid, Key, Moment, is_name};

/// The events that are announced to an instance `[I54]` to `[I58]`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Events {
    /// Interruption of a spot instance `[I54]` `[I55]`.
    pub spot_interruption: Option<SpotInterruption>,
    /// Recommendation to rebalance, because an interruption has become more likely `[I56]`.
    pub rebalance_recommendation: Option<RebalanceRecommendation>,
    /// Maintenance that is scheduled, completed or cancelled `[I57]`.
    pub maintenance: Vec<Maintenance>,
}

/// The interruption of a spot instance `[I54]` `[I55]`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SpotInterruption {
    /// What happens to the instance.
    pub action: SpotAction,
    /// When it is announced. Default: at once.
    #[serde(default)]
    pub announced: Moment,
    /// When it happens. Default: two minutes after it is announced; for `hibernate`, at the same
    /// time.
    #[serde(default)]
    pub time: Option<Moment>,
}

impl SpotInterruption {
    /// An interruption that is announced at once, and happens when it would on AWS.
    pub fn new(action: SpotAction) -> Self {
        Self {
            action,
            announced: Moment::default(),
            time: None,
        }
    }
}

/// What happens to an interrupted spot instance `[I54]`.
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
    /// When it is announced (`noticeTime`). Default: at once.
    pub announced: Moment,
}

/// A maintenance event `[I57]`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Maintenance {
    /// The kind of maintenance.
    pub code: MaintenanceCode,
    /// Description. Default: AWS's description of the code.
    #[serde(default)]
    pub description: Option<String>,
    /// ID: `instance-event-` and 17 hexadecimal digits. Default: derived from the index in the
    /// list.
    #[serde(default)]
    pub event_id: Option<String>,
    /// When it is announced. Default: at once.
    #[serde(default)]
    pub announced: Moment,
    /// Earliest start. Default: seven days after it is announced.
    #[serde(default)]
    pub not_before: Option<Moment>,
    /// Latest end. Default: two hours after the earliest start.
    #[serde(default)]
    pub not_after: Option<Moment>,
    /// State. `scheduled` lists events that are `active`, `history` all others. Default: `active`.
    #[serde(default)]
    pub state: MaintenanceState,
}

impl Maintenance {
    /// Active maintenance, announced at once, a week in advance.
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

/// The kind of maintenance.
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
    /// AWS's description.
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
                "an interruption only with instance.life-cycle = \"spot\"",
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
