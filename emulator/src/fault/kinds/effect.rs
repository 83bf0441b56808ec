use http::StatusCode;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Blackhole, Change, Nature, Requests, ResetAfter, ResetPeer};
use crate::fault::draft::Draft;
use crate::value::{Invalid, Key};

/// What happens to a request that is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(
    expecting = "expected `no-response`, `reset` or a status code, 200 to 999",
    rename_all = "kebab-case"
)]
#[non_exhaustive]
pub enum Effect {
    /// The request gets no response, as when its packets are dropped `[I26]`.
    #[default]
    #[serde(alias = "silence", alias = "drop", alias = "blackhole")]
    NoResponse,
    /// The connection is reset.
    Reset,
    /// The request is answered with this status, 200 to 999.
    #[serde(untagged)]
    Status(u16),
}

impl Effect {
    pub(super) fn check(self, key: &Key) -> Result<(), Invalid> {
        match self {
            Self::Status(code) => check_status(key, code),
            Self::NoResponse | Self::Reset => Ok(()),
        }
    }

    /// What the effect acts on.
    pub(crate) fn nature(&self, requests: Requests) -> Nature<'_> {
        match self {
            Self::NoResponse => Nature::Delivery(requests, &Blackhole {}),
            Self::Reset => Nature::Delivery(
                requests,
                &ResetPeer {
                    after: ResetAfter::Request,
                },
            ),
            Self::Status(_) => Nature::Response(requests, self),
        }
    }
}

impl Change for Effect {
    fn change(&self, draft: &mut Draft) {
        if let Self::Status(code) = self {
            draft.set_status(*code);
            draft.set_error_page();
        }
    }
}

/// Accepts the status of a final response.
pub(super) fn check_status(key: &Key, code: u16) -> Result<(), Invalid> {
    key.unless(
        code >= 200 && StatusCode::from_u16(code).is_ok(),
        code,
        STATUS,
    )
}

const STATUS: &str = "a status from 200 to 999";

/// Reads a status. The error states the codes that are accepted, not the numbers of the type.
pub(super) fn read_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    number(deserializer, STATUS)
}

/// Reads a status that may be absent.
pub(super) fn read_optional_status<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u16>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    value
        .map(|value| number(value, STATUS).map_err(D::Error::custom))
        .transpose()
}

/// Reads a number, or fails with what is `accepted`.
pub(super) fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    accepted: &str,
) -> Result<u16, D::Error> {
    let value = Value::deserialize(deserializer)?;
    u16::deserialize(value).map_err(|_| D::Error::custom(format_args!("expected {accepted}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn earlier_names_of_effects_are_accepted() {
        for name in ["no-response", "silence", "drop", "blackhole"] {
            let effect: Effect = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(effect, Effect::NoResponse, "{name}");
        }
        assert_eq!(
            serde_json::to_value(Effect::NoResponse).unwrap(),
            "no-response"
        );
        assert_eq!(
            serde_json::from_value::<Effect>(json!(503)).unwrap(),
            Effect::Status(503)
        );
        assert!(serde_json::from_value::<Effect>(json!("quiet")).is_err());
    }
}
