//! Sets of rules, and an event, that have a name.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::fault::kinds::{CredentialsExpired, Latency, TokenUnavailable};
use crate::fault::{Distribution, Effect, Fault, Rule};
use crate::value::Span;

/// A common failure, by name.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    Eq,
    IntoStaticStr,
    JsonSchema,
    PartialEq,
    Serialize,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(
    parse_err_fn = UnknownPreset::new,
    parse_err_ty = UnknownPreset,
    serialize_all = "kebab-case"
)]
#[non_exhaustive]
pub enum Preset {
    /// Requests get no response.
    ImdsOutage,
    /// Responses are late, and every fifth has the status 503.
    ImdsBrownout,
    /// Requests without a token are answered with 401.
    Imdsv2Only,
    /// No tokens are issued, and requests without a token are answered.
    Imdsv1Only,
    /// Tokens do not reach the client, as in a container behind a bridge.
    ContainerHopLimit,
    /// Requests for a token are answered with 403, as for clients behind a proxy.
    TokenForbidden,
    /// Requests above ten per second get no response.
    Throttled,
    /// The credentials expired five minutes ago, and are not replaced.
    ExpiredCredentials,
    /// Credentials expire a minute after they are issued.
    RotatingFast,
    /// The instance has no instance profile.
    RoleDetached,
    /// The instance is a spot instance that is terminated in two minutes.
    SpotInterruption,
}

impl Preset {
    /// All presets.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name of the preset.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// A sentence that says what happens.
    pub fn description(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }

    /// The rules of the preset. The name of the first is that of the preset; the names of the others
    /// begin with it.
    pub fn rules(self) -> Vec<Rule> {
        let faults = match self {
            Self::ImdsOutage => vec![Fault::blackhole()],
            Self::ImdsBrownout => vec![
                Latency::new(Duration::from_millis(100))
                    .jitter(Duration::from_millis(50))
                    .distribution(Distribution::Lognormal {
                        median: Duration::from_millis(200).into(),
                        sigma: 0.8,
                    })
                    .into(),
                Fault::status(503),
            ],
            Self::Imdsv2Only => vec![Fault::v1_disabled()],
            Self::Imdsv1Only => vec![Fault::token_unavailable(), Fault::v1_enabled()],
            Self::ContainerHopLimit => vec![Fault::hop_limit()],
            Self::TokenForbidden => {
                vec![TokenUnavailable::new().effect(Effect::Status(403)).into()]
            }
            Self::Throttled => vec![Fault::throttle(10)],
            Self::ExpiredCredentials => {
                vec![CredentialsExpired::new().by(Span::minutes(5)).into()]
            }
            Self::RotatingFast => vec![Fault::credentials_short_lived(Span::minutes(1))],
            Self::RoleDetached => vec![Fault::role_missing()],
            Self::SpotInterruption => Vec::new(),
        };
        let mut rules: Vec<Rule> = faults
            .into_iter()
            .enumerate()
            .map(|(at, fault)| {
                let name = match at {
                    0 => self.name().to_owned(),
                    _ => format!("{} {}", self.name(), at + 1),
                };
                Rule::new(name, fault)
            })
            .collect();
        if self == Self::ImdsBrownout
            && let Some(unavailable) = rules.get_mut(1)
        {
            unavailable.when.probability = Some(0.2);
        }
        rules
    }
}

/// No preset has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPreset(String);

impl UnknownPreset {
    fn new(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for UnknownPreset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        write!(
            f,
            "unknown preset {:?}; accepted: {}",
            self.0,
            names.join(", ")
        )
    }
}

impl std::error::Error for UnknownPreset {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_preset_has_a_description_of_its_own() {
        let described: BTreeSet<_> = Preset::ALL.iter().map(|each| each.description()).collect();
        assert_eq!(described.len(), Preset::ALL.len());
        assert!(described.iter().all(|sentence| sentence.ends_with('.')));
    }

    #[test]
    fn names_are_the_same_everywhere() {
        let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        assert_eq!(
            names.join(" "),
            "imds-outage imds-brownout imdsv2-only imdsv1-only container-hop-limit token-forbidden \
             throttled expired-credentials rotating-fast role-detached spot-interruption"
        );
        for preset in Preset::ALL {
            assert_eq!(preset.to_string(), preset.name());
            assert_eq!(preset.name().parse(), Ok(*preset));
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.name());
        }
        let error = "imds-outrage".parse::<Preset>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown preset \"imds-outrage\"; accepted: imds-outage, "),
            "{error}"
        );
    }
}
