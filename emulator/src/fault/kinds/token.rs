//! Faults of session tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::samples::Draw;
use super::{Alter, Effect, Kind, Nature, Requests, group, no_parameters};
use crate::fault::occurrence::Occurrence;
use crate::fault::view::View;
use crate::instance::HttpTokens;
use crate::value::{Invalid, Key, Span};

group! {
    /// Faults of session tokens.
    Token(TokenFault), "Tokens":
    TokenUnavailable = "token_unavailable", token_unavailable();
    V1Disabled = "v1_disabled", v1_disabled();
    V1Enabled = "v1_enabled", v1_enabled();
    TokenExpireEarly = "token_expire_early", token_expire_early(after: impl Into<Span>);
    TokenRevokeAll = "token_revoke_all", token_revoke_all();
    TokenFlap = "token_flap", token_flap();
    TtlCap = "ttl_cap", ttl_cap(seconds: u32);
}

/// Issues no tokens. Requests with a token that was issued earlier are answered, and so are
/// requests without a token where these are allowed.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TokenUnavailable {
    /// What happens to requests for a token: `no-response`, `reset` (of the connection)
    /// or a status code, 200 to 999. Default: `404`.
    #[serde(alias = "status")]
    pub effect: Effect,
}

impl Default for TokenUnavailable {
    fn default() -> Self {
        Self {
            effect: Effect::Status(404),
        }
    }
}

impl TokenUnavailable {
    /// Answers requests for a token with 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what happens to requests for a token.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }
}

impl Kind for TokenUnavailable {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        self.effect.check(&key.field("effect"))
    }

    fn nature(&self) -> Nature<'_> {
        self.effect.nature(Requests::Tokens)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new().effect(draw.effect())]
    }
}

no_parameters! {
    /// Requires a token, whatever `HttpTokens` says.
    V1Disabled: Instance(All);
}

impl Alter for V1Disabled {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.options.http_tokens = HttpTokens::Required;
    }
}

no_parameters! {
    /// Answers requests without a token, whatever `HttpTokens` says.
    V1Enabled: Instance(All);
}

impl Alter for V1Enabled {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.options.http_tokens = HttpTokens::Optional;
    }
}

/// Expires tokens before their TTL ends.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TokenExpireEarly {
    /// Lifetime of a token.
    pub after: Span,
}

impl TokenExpireEarly {
    fn new(after: impl Into<Span>) -> Self {
        Self {
            after: after.into(),
        }
    }
}

impl Kind for TokenExpireEarly {
    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.long())]
    }
}

impl Alter for TokenExpireEarly {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.token_lifetime = Some(self.after.into());
    }
}

no_parameters! {
    /// Revokes all tokens that were issued before the rule was added.
    TokenRevokeAll: Instance(All);
}

impl Alter for TokenRevokeAll {
    fn alter(&self, view: &mut View, occurrence: &Occurrence) {
        view.quirks.tokens_from = Some(occurrence.began);
    }
}

no_parameters! {
    /// Rejects valid tokens: all of them, or the fraction `when.probability`.
    TokenFlap: Instance(All);
}

impl Alter for TokenFlap {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.rejects_tokens = true;
    }
}

/// Issues tokens with a shorter TTL than requested.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TtlCap {
    /// Longest TTL in seconds, 1 to 21600.
    pub seconds: u32,
}

impl TtlCap {
    fn new(seconds: u32) -> Self {
        Self { seconds }
    }
}

impl Kind for TtlCap {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.field("seconds").unless(
            (1..=21_600).contains(&self.seconds),
            self.seconds,
            "1 to 21600",
        )
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Instance(Requests::Tokens, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.of(1, [60, 3600]))]
    }
}

impl Alter for TtlCap {
    fn alter(&self, view: &mut View, _: &Occurrence) {
        view.quirks.ttl_cap = Some(self.seconds);
    }
}
