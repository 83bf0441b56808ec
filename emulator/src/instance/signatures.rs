//! The signatures of the identity document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Invalid, Key};

/// The signatures of the identity document, which differ between instances `[I39]` `[I60]`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Signatures {
    /// Size of the RSA key of `signature` in bits: 1024, as on instances, or 2048. Default: 2048.
    pub rsa_bits: u16,
    /// Whether `dsa2048` exists. Default: `false`.
    pub dsa2048: bool,
}

impl Default for Signatures {
    fn default() -> Self {
        Self {
            rsa_bits: 2048,
            dsa2048: false,
        }
    }
}

impl Signatures {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.field("rsa-bits").unless(
            matches!(self.rsa_bits, 1024 | 2048),
            self.rsa_bits,
            "1024 or 2048",
        )
    }
}
