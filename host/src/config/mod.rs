//! Settings from the program, the environment and the profile.
//!
//! The environment and the profile use the names of the AWS SDKs:
//!
//! | setting | environment | profile | accepted |
//! | --- | --- | --- | --- |
//! | disable IMDS | `AWS_EC2_METADATA_DISABLED` | | `true`, `false` |
//! | endpoint | `AWS_EC2_METADATA_SERVICE_ENDPOINT` | `ec2_metadata_service_endpoint` | a URL with `http` |
//! | endpoint mode | `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` | `ec2_metadata_service_endpoint_mode` | `IPv4`, `IPv6` |
//! | IMDSv1 | `AWS_EC2_METADATA_V1_DISABLED` | `ec2_metadata_v1_disabled` | `true`: [`Never`](Imdsv1Policy::Never); `false`: [`OnRefusal`](Imdsv1Policy::OnRefusal) |
//! | role | `AWS_EC2_INSTANCE_PROFILE_NAME` | `ec2_instance_profile_name` | the name of a role, also with its path in front, or its ARN |
//! | timeout | `AWS_METADATA_SERVICE_TIMEOUT` | `metadata_service_timeout` | seconds, 0.001 to 60 |
//! | attempts | `AWS_METADATA_SERVICE_NUM_ATTEMPTS` | `metadata_service_num_attempts` | 1 to 10 |
//!
//! * The program takes precedence over the environment, and the environment over the profile. An
//!   endpoint takes precedence over an endpoint mode, wherever each of them is set, as in the SDKs.
//! * Words may be in upper or lower case. An empty variable counts as not set. Any other value is an
//!   error; most SDKs ignore it and use the default.
//! * The timeout is used both for opening a connection and for the response.
//! * If a timeout or the number of attempts is set and the operation timeout is not, a look-up may
//!   take as long as all its attempts and the back-off between them need, from 5 seconds to 10
//!   minutes.
//! * The profile is the one that the program names, else the one that `AWS_PROFILE` names, else
//!   `default`. It is read from the files that `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE`
//!   name, else from `~/.aws/config` and `~/.aws/credentials`. A `credential_source` other than
//!   `Ec2InstanceMetadata` is an error.

use std::fmt;
use std::time::Duration;

use crate::endpoint::{Endpoint, InvalidEndpoint, without_password, without_user_information};
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

/// The settings from all sources.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    /// The origins of the settings that the component checks.
    origins: Vec<(&'static str, Origin)>,
    #[cfg(feature = "profile")]
    pub(crate) assume_role: Option<AssumeRole>,
}

/// Where a value was found.
#[derive(Clone)]
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

/// Completes the settings of the program. Its `profile` takes precedence over `AWS_PROFILE`.
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
    /// The component's error about an option, with the name under which the user set it.
    pub(crate) fn explain(&self, error: wit::Error) -> Error {
        if let wit::Error::InvalidConfiguration(invalid) = &error
            && let Some((_, origin)) = self
                .origins
                .iter()
                .find(|(option, _)| *option == invalid.name)
        {
            let value = match invalid.name.as_str() {
                "endpoint" => without_user_information(origin.value()),
                _ => without_password(origin.value()),
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
        self.refuse_value(&without_password(self.value()), accepted)
    }

    fn refuse_value(&self, value: &str, accepted: &str) -> Error {
        // In a profile, a line that is indented by mistake continues the value of the line before, and
        // may be the secret key.
        let (value, more) = match value.split_once('\n') {
            Some((first, _)) => (first, " with more lines"),
            None => (value, ""),
        };
        Error::new(
            ErrorKind::InvalidConfiguration,
            format!("{self} is {value:?}{more}; accepted: {accepted}"),
        )
    }
}

/// Without the value, which may hold a password.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
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

/// Parses a timeout as in the environment and the profile: seconds, with or without decimals.
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
    // Neither a sign nor leading zeros.
    let plain = |text: &&str| text.starts_with(|first: char| ('1'..='9').contains(&first));
    let number = Some(origin.value()).filter(plain);
    number
        .and_then(|number| number.parse().ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| origin.refuse(&format!("{least} to {most}")))
}

/// The component's default for the time limits of a connection and of a response.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// The time that all attempts for the token and for the path need, with the longest back-off between
/// them `[B1.7]`, but at least the default and at most the longest accepted time.
fn operation_timeout(settings: &Settings) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(5);
    const MAX: Duration = Duration::from_secs(600);
    // The component rejects more attempts than this.
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
