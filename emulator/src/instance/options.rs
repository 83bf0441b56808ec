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
    /// `disabled`: every answer is 403 `[I23]`. Default: enabled.
    pub http_endpoint: Switch,
    /// Whether requests without a token are refused `[I17]` `[I18]`. Default: required, as for
    /// new images; AWS's own default is optional.
    pub http_tokens: HttpTokens,
    /// How far answers to `PUT` reach: 1 to 64 `[I21]`. `server.peers` says who is how far away.
    /// Default: 1.
    pub http_put_response_hop_limit: u8,
    /// Whether connections over IPv6 are answered; the emulator must listen on an IPv6 address,
    /// too `[I1]`. Default: enabled; AWS's own default is disabled.
    pub http_protocol_ipv6: Switch,
    /// Whether there is `tags/` `[I36]`. Default: enabled; AWS's own default is disabled.
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

/// On or off, in AWS's words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum Switch {
    Enabled,
    Disabled,
}

/// Whether a token is needed `[I17]` `[I18]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, VariantArray)]
#[serde(rename_all = "lowercase")]
pub enum HttpTokens {
    /// IMDSv1 and IMDSv2: requests without a token are answered.
    Optional,
    /// IMDSv2 alone: requests without a token are 401.
    Required,
}

impl MetadataOptions {
    pub(crate) fn check(&self, key: &Key) -> Result<(), Invalid> {
        let limit = self.http_put_response_hop_limit;
        key.field("HttpPutResponseHopLimit")
            .unless((1..=64).contains(&limit), limit, "1 to 64")
    }
}
