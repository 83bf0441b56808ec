use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::{Delivery, Step};
use crate::fault::draft::Draft;
use crate::value::{Invalid, Key};

/// What happens to a request that is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The request gets no response, as when its packets are dropped `[I26]`.
    #[default]
    #[serde(alias = "drop", alias = "blackhole")]
    Silence,
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
            Self::Silence | Self::Reset => Ok(()),
        }
    }

    pub(crate) fn deliver(self, mut answer: Draft) -> Delivery {
        match self {
            Self::Silence => Delivery::NoResponse,
            Self::Reset => Delivery::Script(vec![Step::Reset]),
            Self::Status(code) => {
                answer.set_status(code);
                answer.set_error_page();
                answer.into()
            }
        }
    }
}

/// Accepts the status of a final response.
pub(super) fn check_status(key: &Key, code: u16) -> Result<(), Invalid> {
    key.unless(
        code >= 200 && StatusCode::from_u16(code).is_ok(),
        code,
        "a status from 200 to 999",
    )
}
