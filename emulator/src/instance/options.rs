//! The metadata options of an instance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::value::{Invalid, Key};

/// The metadata options of an instance, with AWS's names `[I24]`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
#[non_exhaustive]
pub struct MetadataOptions {
    /// `disabled` answers every request with 403 `[I23]`. Default: `enabled`.
    pub http_endpoint: Switch,
    /// `required` rejects requests without a token, `optional` answers them `[I17]` `[I18]`.
    /// Default: `required`, as for new images; AWS's own default is `optional`.
    pub http_tokens: HttpTokens,
    /// Network hops within which responses to `PUT` requests arrive, 1 to 64 `[I21]`. `server.peers`
    /// sets the number of hops of clients. Default: 1.
    pub http_put_response_hop_limit: u8,
    /// Whether IMDS is available over IPv6, if the emulator listens on an IPv6 address `[I1]`.
    /// Default: `enabled`; AWS's own default is `disabled`.
    pub http_protocol_ipv6: Switch,
    /// Whether `tags/` exists `[I36]`. Default: `enabled`; AWS's own default is `disabled`.
    pub instance_metadata_tags: Switch,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            http_endpoint: Switch::Enabled,
            http_tokens: HttpTokens::Required,
            http_put_response_hop_limit: 1,
            http_protocol_ipv6: Switch::Enabled,
            instance_metadata_tags: Switch::Enabled,
        }
    }
}

/// On or off, in AWS's words. There is no third state, so programs can match both.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of AWS")]
#[expect(clippy::exhaustive_enums, reason = "there is no third state")]
pub enum Switch {
    Enabled,
    Disabled,
}

/// Whether a token is required `[I17]` `[I18]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HttpTokens {
    /// IMDSv1 and IMDSv2: requests without a token are answered.
    Optional,
    /// IMDSv2 only: requests without a token are answered with 401.
    Required,
}

impl MetadataOptions {
    pub(crate) fn check(&self, key: &Key) -> Result<(), Invalid> {
        let limit = self.http_put_response_hop_limit;
        key.field("HttpPutResponseHopLimit")
            .unless((1..=64).contains(&limit), limit, "1 to 64")
    }
}
