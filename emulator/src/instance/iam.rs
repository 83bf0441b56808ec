//! The instance profile, and the rotation of its credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Checks, Invalid, Key, Span, is_name};

/// The instance profile, its role, and the rotation of the role's credentials.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Iam {
    /// Name of the role. `false` for an instance profile without a role `[I45]`.
    #[serde(with = "crate::value::or_false")]
    #[schemars(with = "crate::value::OrFalse<String>")]
    pub role: Option<String>,
    /// Name of the instance profile, after its IAM path if it has one, like `team/prod/web` `[I44]`.
    /// Default: the name of the role.
    pub instance_profile: Option<String>,
    /// ID of the instance profile: `AIPA` and 17 letters and digits.
    pub instance_profile_id: String,
    /// `Code` of `iam/info`, like `InstanceProfileNotFound` `[I45]`. Default: `Success`.
    pub info_code: String,
    /// `Code` of the role's document, like `AssumeRoleUnauthorizedAccess` `[I48]`. With any other
    /// code than `Success`, the document has a message and no credentials. Default: `Success`.
    pub code: String,
    /// `Message` of the role's document, for any other `code` than `Success`. Default: a message
    /// that names the role.
    pub message: Option<String>,
    /// Whether `iam/security-credentials-extended/` exists `[I52]`. Default: `false`.
    pub extended_path: bool,
    /// Time from one rotation of the credentials to the next `[I49]`. Default: `1h`.
    pub rotation: Span,
    /// Time from the rotation to the expiration of the credentials. Default: another one for each
    /// rotation, from `6h` to `6h 30m` `[I49]`.
    pub lifetime: Option<Span>,
    /// Time before the expiration by which the credentials are rotated at the latest `[I49]`: if
    /// `rotation` is too long for that, they are rotated earlier. With `0s` they are rotated as
    /// `rotation` says, even after they have expired. Default: `5m`.
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
            lifetime: None,
            lead: Span::minutes(5),
        }
    }
}

impl Iam {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        // The characters that IAM allows.
        const NAMES: &str = "1 to 64 letters, digits and _ + = , . @ - (without the path)";
        let mut checks = Checks::default();
        if let Some(role) = &self.role {
            let right = is_name(role, "_+=,.@-") && role.len() <= 64;
            checks.add(key.field("role").unless(right, role, NAMES));
        }
        let profile = key.field("instance-profile");
        if let Some(name) = &self.instance_profile {
            checks.add(profile.unless(
                is_profile(name),
                name,
                "1 to 128 letters, digits and _ + = , . @ -, after a path like team/prod/ if the \
                 profile has one",
            ));
        }
        let profile = profile.compared_with(&key.field("role"));
        checks.add(profile.unless(
            self.role.is_some() || self.instance_profile.is_some(),
            "none",
            "a name, which is required without a role",
        ));
        checks.add(key.field("instance-profile-id").unless(
            is_name(&self.instance_profile_id, ""),
            &self.instance_profile_id,
            "letters and digits, like AIPAEMULATED234567ABC",
        ));
        for (name, code) in [("info-code", &self.info_code), ("code", &self.code)] {
            let right = is_name(code, "");
            checks.add(key.field(name).unless(right, code, "a code, like Success"));
        }
        let lifetime = self.shortest_lifetime();
        for (name, span) in [("rotation", self.rotation), ("lifetime", lifetime)] {
            checks.add(key.field(name).longer_than_zero(span));
        }
        let lead = key.field("lead").compared_with(&key.field("lifetime"));
        checks.add(lead.unless(
            self.lead < lifetime,
            self.lead,
            format_args!("less than the lifetime, {lifetime}"),
        ));
        checks.result()
    }

    /// The lifetime of the credentials, or the shortest of those that it varies between.
    pub(crate) fn shortest_lifetime(&self) -> Span {
        self.lifetime.unwrap_or(Span::minutes(6 * 60))
    }

    /// How much longer the credentials can live `[I49]`.
    pub(crate) fn lifetime_variation(&self) -> Span {
        match self.lifetime {
            Some(_) => Span::seconds(0),
            None => Span::minutes(36),
        }
    }

    /// The path and the name of the instance profile, as in its ARN.
    pub(crate) fn profile(&self) -> &str {
        self.instance_profile
            .as_deref()
            .map(|profile| profile.strip_prefix('/').unwrap_or(profile))
            .or(self.role.as_deref())
            .unwrap_or_default()
    }
}

/// Whether `value` is the name of an instance profile, with the path in front of it, if there is one.
/// IAM writes the path with a slash at its beginning.
fn is_profile(value: &str) -> bool {
    let (path, name) = match value.strip_prefix('/').unwrap_or(value).rsplit_once('/') {
        Some((path, name)) => (Some(path), name),
        None => (None, value),
    };
    // The path has two slashes more, at its ends.
    let is_path = |path: &str| {
        !path.is_empty() && path.len() <= 510 && path.bytes().all(|byte| byte.is_ascii_graphic())
    };
    is_name(name, "_+=,.@-") && name.len() <= 128 && path.is_none_or(is_path)
}
