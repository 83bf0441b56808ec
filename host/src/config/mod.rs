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
//! answers; with it or with the attempts, a look-up may take as long as they need, if the program
//! does not say how long.
//!
//! The profile is the one that the program names, else `AWS_PROFILE`, else `default`, in the files
//! that `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` name, else `~/.aws/config` and
//! `~/.aws/credentials`. A `credential_source` other than `Ec2InstanceMetadata` is an error.

use std::fmt;
use std::time::Duration;

use crate::egress::{Egress, InvalidEndpoint};
use crate::error::{Error, ErrorKind};
use crate::sandbox::bindings::ec2_role::{EndpointMode, Imdsv1Policy, Options};
use crate::sandbox::bindings::provider as wit;

mod environment;
#[cfg(feature = "profile")]
mod profile;
#[cfg(test)]
mod tests;

pub use self::environment::Environment;
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
    if options.endpoint.is_none() {
        options.endpoint = find(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            Some("ec2_metadata_service_endpoint"),
        )?
        .map(|origin| endpoint(&origin))
        .transpose()?;
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
            true => Imdsv1Policy::Never,
            false => Imdsv1Policy::OnRefusal,
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
    let mut slower = false;
    if (options.connect_timeout.is_none() || options.read_timeout.is_none())
        && let Some(origin) = find(
            "AWS_METADATA_SERVICE_TIMEOUT",
            Some("metadata_service_timeout"),
        )?
    {
        let timeout = seconds(&origin)?;
        options.connect_timeout.get_or_insert(timeout);
        options.read_timeout.get_or_insert(timeout);
        slower = true;
    }
    if options.attempts.is_none()
        && let Some(origin) = find(
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
            Some("metadata_service_num_attempts"),
        )?
    {
        options.attempts = Some(whole_number(&origin, 1, 10)?);
        slower = true;
    }
    if slower && options.operation_timeout.is_none() {
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
            (None, Some(EndpointMode::Ipv6)) => "http://[fd00:ec2::254]",
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

fn mode(origin: &Origin) -> Result<EndpointMode, Error> {
    match origin.value().to_ascii_lowercase().as_str() {
        "ipv4" => Ok(EndpointMode::Ipv4),
        "ipv6" => Ok(EndpointMode::Ipv6),
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
    let milliseconds = origin
        .value()
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .and_then(|timeout| u64::try_from(timeout.as_millis()).ok())
        .filter(|milliseconds| (1..=60_000).contains(milliseconds));
    milliseconds.ok_or_else(|| origin.refuse("a number of seconds from 0.001 to 60"))
}

fn whole_number(origin: &Origin, least: u32, most: u32) -> Result<u32, Error> {
    let number = origin.value().parse().ok();
    number
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
