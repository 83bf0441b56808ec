//! The instance profile, and the life of its credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Invalid, Key, Span, is_name};

/// The instance profile, the role in it, and the life of the role's credentials.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Iam {
    /// The role; `false` for an instance profile without one `[I45]`.
    #[serde(with = "crate::value::or_false")]
    #[schemars(with = "crate::value::OrFalse<String>")]
    pub role: Option<String>,
    /// The name of the instance profile. Default: that of the role.
    pub instance_profile: Option<String>,
    /// `AIPA` and 17 letters and digits.
    pub instance_profile_id: String,
    /// The `Code` of `iam/info`, like `InstanceProfileNotFound` `[I45]`.
    pub info_code: String,
    /// The `Code` of the role's document, like `AssumeRoleUnauthorizedAccess` `[I48]`. Any but
    /// `Success` comes with a message and without credentials.
    pub code: String,
    /// The `Message` that goes with another `code` than `Success`. Default: one that names the
    /// role.
    pub message: Option<String>,
    /// Whether there is `iam/security-credentials-extended/` `[I52]`.
    pub extended_path: bool,
    /// New credentials come after this time `[I49]`.
    pub rotation: Span,
    /// Credentials live for this time `[I49]`.
    pub lifetime: Span,
    /// New credentials are there at least so long before the old ones end `[I49]`: if `rotation`
    /// is too long for it, they come earlier. With `0s` they come as `rotation` says, even too
    /// late.
    pub lead: Span,
}

impl Default for Iam {
    fn default() -> Self {
        Self {
            role: Some("emulated-role".into()),
            instance_profile: None,
            instance_profile_id: "AIPAEMULATED234567ABC".into(),
            info_code: "Success".into(),
            code: "Success".into(),
            message: None,
            extended_path: false,
            rotation: Span::minutes(60),
            lifetime: Span::minutes(6 * 60 + 20),
            lead: Span::minutes(5),
        }
    }
}

impl Iam {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        // The alphabet of IAM.
        const NAMES: &str = "1 to 64 letters, digits and _ + = , . @ - (of a path, the last part)";
        if let Some(role) = &self.role {
            key.field("role")
                .unless(is_name(role, "_+=,.@-") && role.len() <= 64, role, NAMES)?;
        }
        if let Some(profile) = &self.instance_profile {
            key.field("instance-profile").unless(
                is_name(profile, "_+=,.@-") && profile.len() <= 128,
                profile,
                NAMES,
            )?;
        }
        key.field("instance-profile").unless(
            self.role.is_some() || self.instance_profile.is_some(),
            "none",
            "a name, because there is no role to take it from",
        )?;
        key.field("instance-profile-id").unless(
            is_name(&self.instance_profile_id, ""),
            &self.instance_profile_id,
            "letters and digits, like AIPAEMULATED234567ABC",
        )?;
        for (name, code) in [("info-code", &self.info_code), ("code", &self.code)] {
            key.field(name)
                .unless(is_name(code, ""), code, "a code, like Success")?;
        }
        let zero = Span::default();
        for (name, span) in [("rotation", self.rotation), ("lifetime", self.lifetime)] {
            key.field(name)
                .unless(span > zero, span, "more than no time")?;
        }
        key.field("lead").unless(
            self.lead < self.lifetime,
            self.lead,
            format_args!("less than the lifetime, {}", self.lifetime),
        )
    }

    /// The name of the instance profile.
    pub(crate) fn profile(&self) -> &str {
        self.instance_profile
            .as_deref()
            .or(self.role.as_deref())
            .unwrap_or_default()
    }
}
