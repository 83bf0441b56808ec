//! Events that are announced to an instance.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::VariantArray;

use super::LifeCycle;
use crate::value::{Checks, Invalid, Key, Moment, NotATime, is_name};

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
#[non_exhaustive]
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
    /// Latest end. `false` for an event without an end, `""` for an empty one. Default: none for
    /// `instance-stop` and `instance-retirement`, and two hours after the earliest start for other
    /// events.
    #[serde(default)]
    pub not_after: Option<End>,
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

/// The latest end of maintenance `[I57]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum End {
    /// This moment.
    At(Moment),
    /// An empty text.
    Empty,
    /// The event has no end.
    Missing,
}

impl End {
    /// The moment, if there is one.
    pub(crate) fn moment_mut(&mut self) -> Option<&mut Moment> {
        match self {
            Self::At(moment) => Some(moment),
            Self::Empty | Self::Missing => None,
        }
    }
}

impl From<Moment> for End {
    fn from(moment: Moment) -> Self {
        Self::At(moment)
    }
}

impl FromStr for End {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        match text {
            "" => Ok(Self::Empty),
            text => text.parse().map(Self::At),
        }
    }
}

impl Serialize for End {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(moment) => moment.serialize(serializer),
            Self::Empty => serializer.serialize_str(""),
            Self::Missing => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnEnd;

        impl Visitor<'_> for AnEnd {
            type Value = End;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a moment, \"\" or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<End, E> {
                match value {
                    true => Err(E::invalid_value(Unexpected::Bool(true), &self)),
                    false => Ok(End::Missing),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<End, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(AnEnd)
    }
}

impl JsonSchema for End {
    fn schema_name() -> Cow<'static, str> {
        "End".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "string",
                    "description": "a date and time (RFC 3339), + and a span after the start, or an empty text",
                },
                { "const": false, "description": "no end" },
            ],
            "examples": ["2026-01-02T03:04:05Z", "+2m", "", false],
        })
    }
}

/// The kind of maintenance.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of AWS")]
#[non_exhaustive]
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
            Self::InstanceRetirement | Self::InstanceStop => {
                "The instance is running on degraded hardware"
            }
        }
    }

    /// Whether AWS says when the maintenance ends.
    pub(crate) fn has_end(self) -> bool {
        !matches!(self, Self::InstanceRetirement | Self::InstanceStop)
    }
}

/// The state of maintenance.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of AWS")]
#[non_exhaustive]
pub enum MaintenanceState {
    #[default]
    Active,
    Completed,
    Canceled,
}

impl Events {
    pub(crate) fn check(&self, life_cycle: LifeCycle, key: &Key) -> Result<(), Invalid> {
        let mut checks = Checks::default();
        if let Some(interruption) = &self.spot_interruption {
            let key = key
                .field("spot-interruption")
                .compared_with(&Key::root("instance").field("life-cycle"));
            checks.add(key.unless(
                life_cycle == LifeCycle::Spot,
                interruption.action,
                "an interruption only with instance.life-cycle = \"spot\"",
            ));
        }
        for (at, event) in self.maintenance.iter().enumerate() {
            let key = key.field("maintenance").item(at);
            if let Some(description) = &event.description {
                checks.add(key.field("description").line(description));
            }
            if let Some(id) = &event.event_id {
                checks.add(
                    key.field("event-id").unless(
                        id.strip_prefix("instance-event-")
                            .is_some_and(|digits| is_name(digits, "")),
                        id,
                        "instance-event- and hexadecimal digits",
                    ),
                );
            }
        }
        checks.result()
    }
}
