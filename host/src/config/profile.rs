//! The profile in the shared configuration files, read by the parser of the AWS SDK for Rust.

use aws_runtime::env_config::file::EnvConfigFiles;
use aws_runtime::env_config::section::{EnvConfigSections, Profile as Section};
use aws_runtime::env_config::source;
use aws_types::os_shim_internal::{Env, Fs};

use super::{Environment, Origin};
use crate::endpoint::without_password;
use crate::error::{Error, ErrorKind};

/// A role to assume with the credentials of the instance: a profile with `role_arn` and
/// `credential_source = Ec2InstanceMetadata`.
///
/// The provider returns the credentials of the instance. The program assumes the role, with STS. With `aws-config`, give the provider to the profile under its name:
/// `ProfileFileCredentialsProvider::builder().with_custom_provider("Ec2InstanceMetadata", provider)`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssumeRole {
    /// The name of the profile.
    pub profile: String,
    /// `role_arn`.
    pub role_arn: String,
    /// `role_session_name`.
    pub role_session_name: Option<String>,
    /// `external_id`.
    pub external_id: Option<String>,
}

/// A profile in the files.
pub(super) struct Profile(Section);

/// The variables that name the files and the home directory, as in the AWS SDKs.
const NAMES: [&str; 6] = [
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "HOME",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
];

/// Reads the profile. `None` if it does not exist and was not named explicitly.
pub(super) fn read(
    environment: &Environment,
    choice: Option<&str>,
) -> Result<Option<Profile>, Error> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidConfiguration, message);
    let asked_for = match choice {
        Some(name) => Some((name.to_owned(), "the program".to_owned())),
        None => environment
            .get("AWS_PROFILE")?
            .map(|name| (name, "the environment variable AWS_PROFILE".to_owned())),
    };
    let mut variables = Vec::new();
    for name in NAMES {
        match environment.get(name) {
            Ok(Some(value)) => variables.push((name, value)),
            Ok(None) => {}
            Err(error) if name.starts_with("AWS_") => return Err(error),
            // A home directory that is not UTF-8 is ignored.
            Err(_) => {}
        }
    }
    // A missing file counts as empty, as in the SDKs. Without any of these variables the location of
    // the files is unknown.
    if variables.is_empty() && asked_for.is_none() {
        return Ok(None);
    }
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let (env, fs) = (Env::from_slice(&variables), Fs::real());
    // The parser reads with `std::fs`. It is async only for hosts that cannot block.
    let files = pollster::block_on(source::load(&env, &fs, &EnvConfigFiles::default())).map_err(
        |error| {
            Error::with_source(
                ErrorKind::InvalidConfiguration,
                "cannot read the shared configuration files",
                error,
            )
        },
    )?;
    let sections = EnvConfigSections::parse(files).map_err(|error| {
        Error::with_source(
            ErrorKind::InvalidConfiguration,
            "cannot parse the shared configuration files",
            error,
        )
    })?;
    let name = asked_for
        .as_ref()
        .map_or("default", |(name, _)| name.as_str());
    let Some(section) = sections.get_profile(name) else {
        return match asked_for {
            None => Ok(None),
            Some((name, who)) => {
                let mut known: Vec<&str> = sections.profiles().collect();
                known.sort_unstable();
                let accepted = match known.is_empty() {
                    true => {
                        "no profile, because the shared configuration files define none".to_owned()
                    }
                    false => format!(
                        "a profile of the shared configuration files ({})",
                        known.join(", ")
                    ),
                };
                Err(invalid(format!(
                    "{who} names the profile {:?}; accepted: {accepted}",
                    without_password(&name)
                )))
            }
        };
    };
    let profile = Profile(section.clone());
    match profile.get("credential_source") {
        None | Some("Ec2InstanceMetadata") => Ok(Some(profile)),
        Some(other) => Err(Origin::Profile {
            profile: profile.name().to_owned(),
            key: "credential_source",
            value: other.to_owned(),
        }
        .refuse("Ec2InstanceMetadata")),
    }
}

impl Profile {
    pub(super) fn name(&self) -> &str {
        self.0.name()
    }

    /// The value of a key. An empty value counts as not set.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).filter(|value| !value.is_empty())
    }

    pub(super) fn assume_role(&self) -> Option<AssumeRole> {
        self.get("credential_source")?;
        let owned = |key| self.get(key).map(str::to_owned);
        Some(AssumeRole {
            profile: self.name().to_owned(),
            role_arn: owned("role_arn")?,
            role_session_name: owned("role_session_name"),
            external_id: owned("external_id"),
        })
    }
}
