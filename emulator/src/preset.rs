//! Faults that go by a name.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::kinds::{CredentialsExpired, Latency};
use crate::fault::{Distribution, Fault, Rule};
use crate::value::Span;

/// What often goes wrong, by name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// Nothing is answered any more.
    ImdsOutage,
    /// Answers are late, and every fifth one is a 503.
    ImdsBrownout,
    /// Requests without a token are 401.
    #[serde(rename = "imdsv2-only")]
    ImdsV2Only,
    /// There are no tokens to be had, and none are needed.
    #[serde(rename = "imdsv1-only")]
    ImdsV1Only,
    /// Tokens do not come through to the client, as in a container behind a bridge.
    ContainerHopLimit,
    /// More than ten requests a second are not answered.
    Throttled,
    /// The credentials have been over for five minutes, and no new ones come.
    ExpiredCredentials,
    /// Credentials live for a minute.
    RotatingFast,
    /// There is no instance profile.
    RoleDetached,
    /// The instance is a spot instance that is terminated in two minutes.
    SpotInterruption,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ImdsOutage,
        Self::ImdsBrownout,
        Self::ImdsV2Only,
        Self::ImdsV1Only,
        Self::ContainerHopLimit,
        Self::Throttled,
        Self::ExpiredCredentials,
        Self::RotatingFast,
        Self::RoleDetached,
        Self::SpotInterruption,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImdsOutage => "imds-outage",
            Self::ImdsBrownout => "imds-brownout",
            Self::ImdsV2Only => "imdsv2-only",
            Self::ImdsV1Only => "imdsv1-only",
            Self::ContainerHopLimit => "container-hop-limit",
            Self::Throttled => "throttled",
            Self::ExpiredCredentials => "expired-credentials",
            Self::RotatingFast => "rotating-fast",
            Self::RoleDetached => "role-detached",
            Self::SpotInterruption => "spot-interruption",
        }
    }

    /// What it does.
    pub fn description(self) -> &'static str {
        match self {
            Self::ImdsOutage => "nothing is answered any more",
            Self::ImdsBrownout => "answers are late, and every fifth one is a 503",
            Self::ImdsV2Only => "requests without a token are 401",
            Self::ImdsV1Only => "there are no tokens to be had, and none are needed",
            Self::ContainerHopLimit => "tokens do not come through to the client",
            Self::Throttled => "more than ten requests a second are not answered",
            Self::ExpiredCredentials => {
                "the credentials have been over for five minutes, and no new ones come"
            }
            Self::RotatingFast => "credentials live for a minute",
            Self::RoleDetached => "there is no instance profile",
            Self::SpotInterruption => {
                "the instance is a spot instance that is terminated in two minutes"
            }
        }
    }

    /// Its rules: the first one has its name, the others have it at their beginning.
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
            Self::ImdsV2Only => vec![Fault::v1_disabled()],
            Self::ImdsV1Only => vec![Fault::token_unavailable(), Fault::v1_enabled()],
            Self::ContainerHopLimit => vec![Fault::hop_limit()],
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

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == name);
        found.ok_or_else(|| UnknownPreset(name.into()))
    }
}

/// There is no preset of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPreset(String);

impl fmt::Display for UnknownPreset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Preset::ALL.map(Preset::name).join(", ");
        write!(f, "there is no preset {:?}; there are {names}", self.0)
    }
}

impl std::error::Error for UnknownPreset {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_one_says_what_it_does() {
        let described = Preset::ALL.map(Preset::description);
        let different: std::collections::BTreeSet<_> = described.into_iter().collect();
        assert_eq!(different.len(), Preset::ALL.len());
    }

    #[test]
    fn names_are_the_same_everywhere() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse(), Ok(preset));
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.name());
        }
        let error = "imds-outrage".parse::<Preset>().unwrap_err().to_string();
        assert!(
            error.contains("\"imds-outrage\"") && error.contains("imds-outage"),
            "{error}"
        );
    }
}
