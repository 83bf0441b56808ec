//! Where settings come from that the program does not give: the environment, then the profile, with
//! the names that the AWS SDKs have for them.
//!
//! | setting | environment | profile | accepted |
//! | --- | --- | --- | --- |
//! | no IMDS at all | `AWS_EC2_METADATA_DISABLED` | | `true`, `false` |
//! | endpoint | `AWS_EC2_METADATA_SERVICE_ENDPOINT` | `ec2_metadata_service_endpoint` | a URL with `http` |
//! | its mode | `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` | `ec2_metadata_service_endpoint_mode` | `IPv4`, `IPv6` |
//! | IMDSv1 | `AWS_EC2_METADATA_V1_DISABLED` | `ec2_metadata_v1_disabled` | `true`: never; `false`: where IMDS refuses a token |
//! | role | `AWS_EC2_INSTANCE_PROFILE_NAME` | `ec2_instance_profile_name` | the name of a role |
//! | time-outs | `AWS_METADATA_SERVICE_TIMEOUT` | `metadata_service_timeout` | seconds, 0.001 to 60 |
//! | attempts | `AWS_METADATA_SERVICE_NUM_ATTEMPTS` | `metadata_service_num_attempts` | 1 to 10 |
//!
//! What the program says goes before the environment, and that before the profile. An endpoint from
//! anywhere goes before a mode from anywhere, as in the SDKs. Letters may be of either case where
//! words are accepted, and a variable that is empty counts as not set. Anything else is an error,
//! where most SDKs go on with a default. The time-out is the one for connections and the one for
//! answers; with it or with the attempts, wherever they are set, a look-up may take as long as they need,
//! if the program does not say how long.
//!
//! The profile is the one that the program names, else `AWS_PROFILE`, else `default`, in the files
//! that `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` name, else `~/.aws/config` and
//! `~/.aws/credentials`. A `credential_source` other than `Ec2InstanceMetadata` is an error.

use std::fmt;
use std::time::Duration;

use crate::endpoint::{Endpoint, InvalidEndpoint, without_user_information};
use crate::error::{Error, ErrorKind};
use crate::wit::provider as wit;

mod environment;
mod policy;
#[cfg(feature = "profile")]
mod profile;
mod settings;
#[cfg(test)]
mod tests;

pub use self::environment::Environment;
pub use self::policy::{EndpointMode, Imdsv1Policy, RefreshPolicy};
#[cfg(feature = "profile")]
pub use self::profile::AssumeRole;
pub use self::settings::Settings;

/// The settings, from everywhere.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    /// Where settings come from that the component checks.
    origins: Vec<(&'static str, Origin)>,
    #[cfg(feature = "profile")]
    pub(crate) assume_role: Option<AssumeRole>,
}

/// Where a value was found.
#[derive(Clone, Debug)]
enum Origin {
    Environment {
        name: &'static str,
        value: String,
    },
    #[cfg(feature = "profile")]
    Profile {
        profile: String,
        key: &'static str,
        value: String,
    },
}

/// Completes what the program says. Its `profile` goes before `AWS_PROFILE`.
pub(crate) fn resolve(
    settings: Settings,
    environment: &Environment,
    profile: Option<&str>,
) -> Result<Resolved, Error> {
    #[cfg(feature = "profile")]
    let profile = profile::read(environment, profile)?;
    #[cfg(not(feature = "profile"))]
    let _ = profile;

    // The environment, then the profile.
    let find = |name: &'static str, key: Option<&'static str>| -> Result<Option<Origin>, Error> {
        if let Some(value) = environment.get(name)? {
            return Ok(Some(Origin::Environment { name, value }));
        }
        #[cfg(feature = "profile")]
        if let (Some(key), Some(profile)) = (key, &profile)
            && let Some(value) = profile.get(key)
        {
            return Ok(Some(Origin::Profile {
                profile: profile.name().to_owned(),
                key,
                value: value.to_owned(),
            }));
        }
        let _ = key;
        Ok(None)
    };
    let mut origins = Vec::new();
    let mut settings = settings;

    if settings.disabled.is_none() {
        settings.disabled = find("AWS_EC2_METADATA_DISABLED", None)?
            .map(|origin| boolean(&origin))
            .transpose()?;
    }
    if settings.endpoint.is_none()
        && let Some(origin) = find(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            Some("ec2_metadata_service_endpoint"),
        )?
    {
        settings.endpoint = Some(endpoint(&origin)?);
        origins.push(("endpoint", origin));
    }
    if settings.endpoint_mode.is_none() {
        settings.endpoint_mode = find(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
            Some("ec2_metadata_service_endpoint_mode"),
        )?
        .map(|origin| mode(&origin))
        .transpose()?;
    }
    if settings.imdsv1.is_none() {
        settings.imdsv1 = find(
            "AWS_EC2_METADATA_V1_DISABLED",
            Some("ec2_metadata_v1_disabled"),
        )?
        .map(|origin| boolean(&origin))
        .transpose()?
        .map(|disabled| match disabled {
            true => Imdsv1Policy::Never,
            false => Imdsv1Policy::OnRefusal,
        });
    }
    if settings.role_name.is_none()
        && let Some(origin) = find(
            "AWS_EC2_INSTANCE_PROFILE_NAME",
            Some("ec2_instance_profile_name"),
        )?
    {
        settings.role_name = Some(origin.value().to_owned());
        origins.push(("role-name", origin));
    }
    if (settings.connect_timeout.is_none() || settings.read_timeout.is_none())
        && let Some(origin) = find(
            "AWS_METADATA_SERVICE_TIMEOUT",
            Some("metadata_service_timeout"),
        )?
    {
        let timeout = seconds(&origin)?;
        settings.connect_timeout.get_or_insert(timeout);
        settings.read_timeout.get_or_insert(timeout);
    }
    if settings.attempts.is_none()
        && let Some(origin) = find(
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
            Some("metadata_service_num_attempts"),
        )?
    {
        settings.attempts = Some(whole_number(&origin, 1, 10)?);
    }
    let patient = settings.connect_timeout.or(settings.read_timeout).is_some();
    if (patient || settings.attempts.is_some()) && settings.operation_timeout.is_none() {
        settings.operation_timeout = Some(operation_timeout(&settings));
    }
    Ok(Resolved {
        settings,
        origins,
        #[cfg(feature = "profile")]
        assume_role: profile.and_then(|profile| profile.assume_role()),
    })
}

impl Resolved {
    /// The component's word on an option, with the name under which the user knows it.
    pub(crate) fn explain(&self, error: wit::Error) -> Error {
        if let wit::Error::InvalidConfiguration(invalid) = &error
            && let Some((_, origin)) = self
                .origins
                .iter()
                .find(|(option, _)| *option == invalid.name)
        {
            let value = match invalid.name.as_str() {
                "endpoint" => without_user_information(origin.value()),
                _ => origin.value().to_owned(),
            };
            return origin.refuse_value(&value, &invalid.accepted);
        }
        error.into()
    }

    /// The base URL of IMDS.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, Error> {
        match (&self.settings.endpoint, self.settings.endpoint_mode) {
            (Some(url), _) => url.parse().map_err(|error: InvalidEndpoint| {
                Error::new(ErrorKind::InvalidConfiguration, error.to_string())
            }),
            (None, Some(EndpointMode::Ipv6)) => Ok(Endpoint::ipv6()),
            (None, None | Some(EndpointMode::Ipv4)) => Ok(Endpoint::ipv4()),
        }
    }
}

impl Origin {
    fn value(&self) -> &str {
        match self {
            Self::Environment { value, .. } => value,
            #[cfg(feature = "profile")]
            Self::Profile { value, .. } => value,
        }
    }

    fn refuse(&self, accepted: &str) -> Error {
        self.refuse_value(self.value(), accepted)
    }

    fn refuse_value(&self, value: &str, accepted: &str) -> Error {
        Error::new(
            ErrorKind::InvalidConfiguration,
            format!("{self} is {value:?}; accepted: {accepted}"),
        )
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment { name, .. } => write!(f, "the environment variable {name}"),
            #[cfg(feature = "profile")]
            Self::Profile { profile, key, .. } => write!(f, "{key} in the profile {profile:?}"),
        }
    }
}

fn boolean(origin: &Origin) -> Result<bool, Error> {
    match origin.value().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(origin.refuse("true or false")),
    }
}

fn mode(origin: &Origin) -> Result<EndpointMode, Error> {
    match origin.value().to_ascii_lowercase().as_str() {
        "ipv4" => Ok(EndpointMode::Ipv4),
        "ipv6" => Ok(EndpointMode::Ipv6),
        _ => Err(origin.refuse("IPv4 or IPv6")),
    }
}

fn endpoint(origin: &Origin) -> Result<String, Error> {
    match origin.value().parse::<Endpoint>() {
        Ok(_) => Ok(origin.value().to_owned()),
        Err(invalid) => Err(origin.refuse_value(invalid.url(), InvalidEndpoint::ACCEPTED)),
    }
}

fn seconds(origin: &Origin) -> Result<Duration, Error> {
    parse_seconds(origin.value()).map_err(|accepted| origin.refuse(accepted))
}

/// A time-out as the environment and the profile give it: seconds, with decimals or without.
///
/// ```
/// use ec2_role_host::config::parse_seconds;
///
/// assert_eq!(parse_seconds("2.5").map(|timeout| timeout.as_millis()), Ok(2500));
/// assert!(parse_seconds("1e0").is_err());
/// ```
///
/// # Errors
///
/// What is accepted.
pub fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    Some(text)
        .filter(|_| is_number(whole) && is_number(decimals))
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        // The component counts whole milliseconds.
        .and_then(|timeout| u64::try_from(timeout.as_millis()).ok())
        .filter(|milliseconds| (1..=60_000).contains(milliseconds))
        .map(Duration::from_millis)
        .ok_or("a number of seconds from 0.001 to 60")
}

fn whole_number(origin: &Origin, least: u32, most: u32) -> Result<u32, Error> {
    // No sign, and no zero before the others.
    let plain = |text: &&str| text.starts_with(|first: char| ('1'..='9').contains(&first));
    let number = Some(origin.value()).filter(plain);
    number
        .and_then(|number| number.parse().ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| origin.refuse(&format!("{least} to {most}")))
}

/// As long as all attempts for the token and for the path need, with the longest pauses between
/// them `[B1.7]`, but no shorter than the default and no longer than what is accepted.
fn operation_timeout(settings: &Settings) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(5);
    const MAX: Duration = Duration::from_secs(600);
    const TIMEOUT: Duration = Duration::from_secs(1);
    // More are not accepted, and the component says so.
    let attempts = settings.attempts.unwrap_or(3).min(10);
    let connect = settings.connect_timeout.unwrap_or(TIMEOUT);
    let attempt = connect.saturating_add(settings.read_timeout.unwrap_or(TIMEOUT));
    let pauses: Duration = (1..attempts)
        .map(|retry| Duration::from_millis(500 << retry.min(4)))
        .sum();
    attempt
        .saturating_mul(attempts)
        .saturating_add(pauses)
        .saturating_mul(2)
        .clamp(DEFAULT, MAX)
}
