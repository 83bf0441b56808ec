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

use crate::egress::{Egress, InvalidEndpoint};
use crate::error::{Error, ErrorKind};
use crate::wit::ec2_role::Options;
use crate::wit::{ec2_role, provider as wit};

mod environment;
mod policy;
#[cfg(feature = "profile")]
mod profile;
#[cfg(test)]
mod tests;

pub use self::environment::Environment;
pub use self::policy::{EndpointMode, Imdsv1Policy, RefreshPolicy};
#[cfg(feature = "profile")]
pub use self::profile::AssumeRole;

/// The settings, from everywhere.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) options: Options,
    /// Where settings come from that the component checks.
    origins: Vec<(&'static str, Origin)>,
    #[cfg(feature = "profile")]
    pub(crate) assume_role: Option<AssumeRole>,
}

/// What a provider is set up with, from the program, the environment and the profile. `None`: the
/// component's default, which the methods of [`Builder`](crate::Builder) name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "they are those of the builder's methods")]
pub struct Settings {
    pub disabled: Option<bool>,
    pub endpoint: Option<String>,
    pub endpoint_mode: Option<EndpointMode>,
    pub imdsv1: Option<Imdsv1Policy>,
    pub role_name: Option<String>,
    pub connect_timeout: Option<Duration>,
    pub read_timeout: Option<Duration>,
    pub operation_timeout: Option<Duration>,
    pub attempts: Option<u32>,
    pub token_ttl: Option<Duration>,
    pub expiry_window: Option<Duration>,
    pub expiry_window_jitter: Option<u32>,
    pub refresh_policy: Option<RefreshPolicy>,
    pub max_extension: Option<Duration>,
    pub extended_path: Option<bool>,
}

impl From<Options> for Settings {
    fn from(options: Options) -> Self {
        Self {
            disabled: options.disabled,
            endpoint: options.endpoint,
            endpoint_mode: options.endpoint_mode.map(EndpointMode::from),
            imdsv1: options.imdsv1.map(Imdsv1Policy::from),
            role_name: options.role_name,
            connect_timeout: options.connect_timeout.map(Duration::from_millis),
            read_timeout: options.read_timeout.map(Duration::from_millis),
            operation_timeout: options.operation_timeout.map(Duration::from_millis),
            attempts: options.attempts,
            token_ttl: options.token_ttl.map(|ttl| Duration::from_secs(ttl.into())),
            expiry_window: options.expiry_window.map(Duration::from_millis),
            expiry_window_jitter: options.expiry_window_jitter,
            refresh_policy: options.refresh_policy.map(RefreshPolicy::from),
            max_extension: options.max_extension.map(Duration::from_millis),
            extended_path: options.extended_path,
        }
    }
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
    options: Options,
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
    let mut options = options;

    if options.disabled.is_none() {
        options.disabled = find("AWS_EC2_METADATA_DISABLED", None)?
            .map(|origin| boolean(&origin))
            .transpose()?;
    }
    if options.endpoint.is_none()
        && let Some(origin) = find(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            Some("ec2_metadata_service_endpoint"),
        )?
    {
        options.endpoint = Some(endpoint(&origin)?);
        origins.push(("endpoint", origin));
    }
    if options.endpoint_mode.is_none() {
        options.endpoint_mode = find(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
            Some("ec2_metadata_service_endpoint_mode"),
        )?
        .map(|origin| mode(&origin))
        .transpose()?;
    }
    if options.imdsv1.is_none() {
        options.imdsv1 = find(
            "AWS_EC2_METADATA_V1_DISABLED",
            Some("ec2_metadata_v1_disabled"),
        )?
        .map(|origin| boolean(&origin))
        .transpose()?
        .map(|disabled| match disabled {
            true => ec2_role::Imdsv1Policy::Never,
            false => ec2_role::Imdsv1Policy::OnRefusal,
        });
    }
    if options.role_name.is_none()
        && let Some(origin) = find(
            "AWS_EC2_INSTANCE_PROFILE_NAME",
            Some("ec2_instance_profile_name"),
        )?
    {
        options.role_name = Some(origin.value().to_owned());
        origins.push(("role-name", origin));
    }
    if (options.connect_timeout.is_none() || options.read_timeout.is_none())
        && let Some(origin) = find(
            "AWS_METADATA_SERVICE_TIMEOUT",
            Some("metadata_service_timeout"),
        )?
    {
        let timeout = seconds(&origin)?;
        options.connect_timeout.get_or_insert(timeout);
        options.read_timeout.get_or_insert(timeout);
    }
    if options.attempts.is_none()
        && let Some(origin) = find(
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
            Some("metadata_service_num_attempts"),
        )?
    {
        options.attempts = Some(whole_number(&origin, 1, 10)?);
    }
    let patient = options.connect_timeout.or(options.read_timeout).is_some();
    if (patient || options.attempts.is_some()) && options.operation_timeout.is_none() {
        options.operation_timeout = Some(operation_timeout(&options));
    }
    Ok(Resolved {
        options,
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
            return origin.refuse(&invalid.accepted);
        }
        error.into()
    }

    /// The base URL of IMDS.
    pub(crate) fn endpoint(&self) -> &str {
        match (&self.options.endpoint, self.options.endpoint_mode) {
            (Some(endpoint), _) => endpoint,
            (None, Some(ec2_role::EndpointMode::Ipv6)) => "http://[fd00:ec2::254]",
            (None, _) => "http://169.254.169.254",
        }
    }

    /// What requests may go to.
    pub(crate) fn egress(&self) -> Result<Egress, Error> {
        self.endpoint().parse().map_err(|error: InvalidEndpoint| {
            Error::new(ErrorKind::InvalidConfiguration, error.to_string())
        })
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
        Error::new(
            ErrorKind::InvalidConfiguration,
            format!("{self} is {:?}; accepted: {accepted}", self.value()),
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

fn mode(origin: &Origin) -> Result<ec2_role::EndpointMode, Error> {
    match origin.value().to_ascii_lowercase().as_str() {
        "ipv4" => Ok(ec2_role::EndpointMode::Ipv4),
        "ipv6" => Ok(ec2_role::EndpointMode::Ipv6),
        _ => Err(origin.refuse("IPv4 or IPv6")),
    }
}

fn endpoint(origin: &Origin) -> Result<String, Error> {
    match origin.value().parse::<Egress>() {
        Ok(_) => Ok(origin.value().to_owned()),
        Err(_) => Err(origin.refuse(InvalidEndpoint::ACCEPTED)),
    }
}

/// Seconds with decimals, as milliseconds.
fn seconds(origin: &Origin) -> Result<u64, Error> {
    let timeout = parse_seconds(origin.value()).map_err(|accepted| origin.refuse(accepted))?;
    Ok(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
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
        .filter(|timeout| (1..=60_000).contains(&timeout.as_millis()))
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
/// them (behaviour 1.7), but no shorter than the default and no longer than what is accepted.
fn operation_timeout(options: &Options) -> u64 {
    const DEFAULT: u64 = 5_000;
    const MOST: u64 = 600_000;
    let attempts = options.attempts.unwrap_or(3);
    let attempt = options.connect_timeout.unwrap_or(1_000) + options.read_timeout.unwrap_or(1_000);
    let pauses: u64 = (1..attempts)
        .map(|repetition| 500 << repetition.min(4))
        .sum();
    (2 * (u64::from(attempts) * attempt + pauses)).clamp(DEFAULT, MOST)
}
