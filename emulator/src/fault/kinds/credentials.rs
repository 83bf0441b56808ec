//! Faults of the role's credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::samples::Draw;
use super::{Alter, Kind, Nature, Requests, group, no_parameters};
use crate::documents::Broken;
use crate::fault::occurrence::Occurrence;
use crate::fault::view::View;
use crate::value::{Invalid, Key, Span, all, is_name};

group! {
    /// Faults of the role's credentials.
    Credentials(CredentialsFault), "Credentials":
    CredentialsError = "credentials_error", credentials_error();
    CredentialsExpired = "credentials_expired", credentials_expired();
    CredentialsStuck = "credentials_stuck", credentials_stuck();
    CredentialsShortLived = "credentials_short_lived", credentials_short_lived(lifetime: impl Into<Span>);
    CredentialsLateRotation = "credentials_late_rotation", credentials_late_rotation();
    CredentialsField = "credentials_field", credentials_field(name: impl Into<String>, how: Broken);
    ExtendedUnavailable = "extended_unavailable", extended_unavailable();
}

/// Serves an error document in place of the credentials `[I48]`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CredentialsError {
    /// `Code` of the document; any but `Success`. Default: `AssumeRoleUnauthorizedAccess`.
    pub code: String,
    /// `Message` of the document. Default: a message that names the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Default for CredentialsError {
    fn default() -> Self {
        Self {
            code: "AssumeRoleUnauthorizedAccess".into(),
            message: None,
        }
    }
}

impl CredentialsError {
    /// Serves the error `AssumeRoleUnauthorizedAccess`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves the error with this `Code`.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Serves the error with this `Message`.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

impl Kind for CredentialsError {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        all([
            key.field("code").unless(
                is_name(&self.code, "") && self.code != "Success",
                &self.code,
                "letters and digits, but not Success, like Failed",
            ),
            self.message
                .as_ref()
                .map_or(Ok(()), |message| key.field("message").line(message)),
        ])
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new()]
    }
}

impl Alter for CredentialsError {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        if let Some(iam) = &mut view.iam {
            iam.code.clone_from(&self.code);
            iam.message.clone_from(&self.message);
        }
    }
}

/// Serves expired credentials, and issues no new ones `[I51]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CredentialsExpired {
    /// Time from the expiration of the credentials to the moment at which the rule was added.
    /// Default: `0s`.
    #[serde(default)]
    pub by: Span,
}

impl CredentialsExpired {
    /// Serves credentials that expire when the rule is added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves credentials that expired this long before the rule was added.
    #[must_use]
    pub fn by(mut self, by: impl Into<Span>) -> Self {
        self.by = by.into();
        self
    }
}

impl Kind for CredentialsExpired {
    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new()]
    }
}

impl Alter for CredentialsExpired {
    fn alter(&self, view: &mut View, occurrence: &Occurrence) {
        view.quirks.frozen = Some(occurrence.began);
        view.quirks.expires = occurrence.began.checked_sub_signed(self.by.into());
    }
}

no_parameters! {
    /// Keeps serving the credentials of the moment at which the rule was added, even once they have
    /// expired.
    CredentialsStuck: Instance(All);
}

impl Alter for CredentialsStuck {
    fn alter(&self, view: &mut View, occurrence: &Occurrence) {
        view.quirks.frozen = Some(occurrence.began);
    }
}

/// Issues credentials with a short lifetime, and new ones when they expire.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CredentialsShortLived {
    /// Lifetime of the credentials, longer than zero.
    pub lifetime: Span,
}

impl CredentialsShortLived {
    fn new(lifetime: impl Into<Span>) -> Self {
        Self {
            lifetime: lifetime.into(),
        }
    }
}

impl Kind for CredentialsShortLived {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.field("lifetime").longer_than_zero(self.lifetime)
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.long())]
    }
}

impl Alter for CredentialsShortLived {
    fn alter(&self, view: &mut View, occurrence: &Occurrence) {
        view.issuer =
            view.issuer
                .short_lived(self.lifetime.into(), occurrence.began, occurrence.rule);
    }
}

/// Issues new credentials late.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CredentialsLateRotation {
    /// Time from the issue of the new credentials to the expiration of the old credentials.
    /// Default: `0s`.
    #[serde(default)]
    pub before_expiry: Span,
}

impl CredentialsLateRotation {
    /// Issues new credentials when the old ones expire.
    pub fn new() -> Self {
        Self::default()
    }

    /// Issues new credentials this long before the old ones expire.
    #[must_use]
    pub fn before_expiry(mut self, time: impl Into<Span>) -> Self {
        self.before_expiry = time.into();
        self
    }
}

impl Kind for CredentialsLateRotation {
    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new()]
    }
}

impl Alter for CredentialsLateRotation {
    fn alter(&self, view: &mut View, occurrence: &Occurrence) {
        view.issuer = view
            .issuer
            .late(self.before_expiry.into(), occurrence.began);
    }
}

/// Damages one field of the credential document.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CredentialsField {
    /// Name of the field: `AccessKeyId`, `SecretAccessKey`, `Token`, `Expiration` …
    pub name: String,
    /// `missing` (omitted), `empty` (an empty text), `null`, `wrong_type` (a number) or `bad_date`
    /// (a text that is not a date). Default: `missing`.
    #[serde(default)]
    pub how: Broken,
}

impl CredentialsField {
    fn new(name: impl Into<String>, how: Broken) -> Self {
        Self {
            name: name.into(),
            how,
        }
    }
}

impl Kind for CredentialsField {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.field("name").line(&self.name)
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        let name = draw.of("AccessKeyId", ["SecretAccessKey", "Token", "Expiration"]);
        let how = draw.of(
            Broken::Missing,
            [
                Broken::Empty,
                Broken::Null,
                Broken::WrongType,
                Broken::BadDate,
            ],
        );
        vec![Self::new(name, how)]
    }
}

impl Alter for CredentialsField {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.broken.push((self.name.clone(), self.how));
    }
}

no_parameters! {
    /// Answers with 404 below `iam/security-credentials-extended/` `[I52]`.
    ExtendedUnavailable: Instance(All);
}

impl Alter for ExtendedUnavailable {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        if let Some(iam) = &mut view.iam {
            iam.extended_path = false;
        }
    }
}
