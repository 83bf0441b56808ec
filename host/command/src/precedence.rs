//! Other sources of credentials, which AWS SDKs would use before the one that a command is given:
//! variables, a profile, and the default profile in the shared configuration files.
//!
//! The order is that of 24 SDKs and programs. In most, credentials in the environment come first, then
//! those of the profile, then the endpoint of a container, then IMDS.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::{Builder, TempPath};

/// Variables that hold credentials. Those after the first four are for few SDKs: AWS_ACCESS_KEY for Go
/// and MinIO, AMAZON_ACCESS_KEY_ID for Ruby and version 2 of JavaScript, AWS_CREDENTIAL_FILE for boto3.
pub(crate) const KEYS: [&str; 11] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AMAZON_ACCESS_KEY_ID",
    "AMAZON_SECRET_ACCESS_KEY",
    "AMAZON_SESSION_TOKEN",
    "AWS_CREDENTIAL_FILE",
];

/// Variables that select a profile. With one of them, some SDKs skip credentials in the environment.
pub(crate) const PROFILES: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];

/// Variables that select another source than an endpoint at a full URI.
pub(crate) const ENDPOINTS: [&str; 3] = [
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// Removes variables from the environment of a command. If they select a profile, the command gets the
/// region of that profile, unless it has another one.
pub(crate) fn remove(command: &mut Command, names: &[&str]) {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let profile = PROFILES.iter().find(|name| is_set(name));
    let profile = profile.and_then(|name| std::env::var(name).ok());
    if let Some(profile) = profile
        && !["AWS_REGION", "AWS_DEFAULT_REGION"].iter().any(is_set)
        && let Some(region) = FILES
            .iter()
            .find_map(|file| file.setting(&profile, "region"))
    {
        command
            .env("AWS_REGION", &region)
            .env("AWS_DEFAULT_REGION", region);
    }
    for name in names {
        command.env_remove(name);
    }
}

/// A shared configuration file.
pub(crate) struct SharedFile {
    variable: &'static str,
    name: &'static str,
}

/// The shared configuration files, as AWS SDKs find them.
pub(crate) const FILES: [SharedFile; 2] = [
    SharedFile {
        variable: "AWS_SHARED_CREDENTIALS_FILE",
        name: "credentials",
    },
    SharedFile {
        variable: "AWS_CONFIG_FILE",
        name: "config",
    },
];

/// The settings of a profile that say where its credentials come from.
const SOURCES: [&str; 9] = [
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "source_profile",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// The settings that belong to these.
const MORE: [&str; 6] = [
    "aws_secret_access_key",
    "aws_session_token",
    "aws_security_token",
    "sso_account_id",
    "sso_region",
    "sso_role_name",
];

impl SharedFile {
    /// The file, which may not exist. `None` without a home directory.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let home = || std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        match std::env::var_os(self.variable).filter(|path| !path.is_empty()) {
            Some(path) => match Path::new(&path).strip_prefix("~") {
                Ok(rest) => Some(home()?.join(rest)),
                Err(_) => Some(path.into()),
            },
            None => Some(home()?.join(".aws").join(self.name)),
        }
    }

    /// The content without the credentials of the default profile. `None` if it has none.
    fn without_default(&self) -> Option<String> {
        let text = fs::read_to_string(self.path()?).ok()?;
        let without = without_credentials(&text);
        (without != text).then_some(without)
    }

    /// Whether the default profile has credentials.
    pub(crate) fn has_default(&self) -> bool {
        self.without_default().is_some()
    }

    fn setting(&self, profile: &str, setting: &str) -> Option<String> {
        let text = fs::read_to_string(self.path()?).ok()?;
        let mut value = None;
        for line in lines(&text) {
            if line.profile == Some(profile) && line.setting.as_deref() == Some(setting) {
                let (_, given) = line.text.split_once('=')?;
                let given = given
                    .split([' ', '\t'])
                    .find(|word| !word.trim().is_empty());
                value = given.map(|given| given.trim().to_owned());
            }
        }
        value.filter(|value| !value.is_empty())
    }
}

/// Copies of the shared configuration files, without the credentials of the default profile. They are
/// for this user only, and are removed with this.
#[derive(Default)]
pub(crate) struct Copies(Vec<TempPath>);

impl Copies {
    /// Makes a command use copies of the files in whose default profile there are credentials. Its other
    /// settings, and other profiles, are as they were.
    pub(crate) fn give(command: &mut Command) -> Self {
        let mut copies = Self::default();
        for file in FILES {
            let (Some(path), Some(text)) = (file.path(), file.without_default()) else {
                continue;
            };
            match copy(&text) {
                Ok(copy) => {
                    eprintln!(
                        "note: the command gets a copy of {} without the credentials of the profile default, which SDKs would use first",
                        path.display()
                    );
                    command.env(file.variable, &copy);
                    copies.0.push(copy);
                }
                Err(error) => eprintln!(
                    "warning: SDKs will use the credentials of the profile default in {}, because no copy without them can be written: {error}",
                    path.display()
                ),
            }
        }
        copies
    }
}

fn copy(text: &str) -> io::Result<TempPath> {
    let mut file = Builder::new().prefix("ec2-role-credentials-").tempfile()?;
    file.write_all(text.as_bytes())?;
    Ok(file.into_temp_path())
}

/// A file without the credentials of the default profile.
fn without_credentials(text: &str) -> String {
    let is_default = |line: &Line<'_>| line.profile == Some("default");
    let is_one_of = |line: &Line<'_>, settings: &[&str]| {
        line.setting
            .as_deref()
            .is_some_and(|setting| settings.contains(&setting))
    };
    if !lines(text).any(|line| is_default(&line) && is_one_of(&line, &SOURCES)) {
        return text.to_owned();
    }
    lines(text)
        .filter(|line| !(is_default(line) && (is_one_of(line, &SOURCES) || is_one_of(line, &MORE))))
        .map(|line| line.text)
        .collect()
}

/// A line of a shared configuration file.
struct Line<'a> {
    /// With its end.
    text: &'a str,
    profile: Option<&'a str>,
    /// The setting that it begins or continues, in lower case.
    setting: Option<String>,
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut profile = None;
    let mut setting = None;
    text.split_inclusive('\n').map(move |text| {
        let is_comment = text.trim_start().starts_with(['#', ';']) || text.trim().is_empty();
        if let Some(section) = text.strip_prefix('[') {
            profile = section.split(']').next().map(name_of_profile);
            setting = None;
        } else if !is_comment && !text.starts_with(char::is_whitespace) {
            setting = text
                .split_once('=')
                .map(|(name, _)| name.trim().to_lowercase());
        }
        Line {
            text,
            profile,
            setting: setting.clone().filter(|_| !is_comment),
        }
    })
}

/// `default` of `[default]`, `[profile default]` and `[profile "default"]`.
fn name_of_profile(section: &str) -> &str {
    let section = section.trim();
    let name = match section.strip_prefix("profile") {
        Some(name) if name.starts_with(char::is_whitespace) => name.trim(),
        _ => section,
    };
    name.trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_of_the_default_profile_are_left_out() {
        for (file, without) in [
            ("", ""),
            ("[default]\nregion = x\n", "[default]\nregion = x\n"),
            (
                "[default]\naws_access_key_id = A\nAWS_SECRET_ACCESS_KEY=S\n# of us\nregion = x\n[other]\naws_access_key_id = B\n",
                "[default]\n# of us\nregion = x\n[other]\naws_access_key_id = B\n",
            ),
            (
                "[profile \"default\"]\ncredential_process = a\n  b\ns3 =\n  max_queue_size = 1\nrole_arn=r",
                "[profile \"default\"]\ns3 =\n  max_queue_size = 1\n",
            ),
            (
                "[ profile  default ]\r\nsso_session = a\r\nsso_role_name = b\r\noutput = json\r\n",
                "[ profile  default ]\r\noutput = json\r\n",
            ),
            // Without a source of credentials this is a mere setting.
            (
                "[default]\nsso_region = x\n[sso-session a]\nsso_start_url = u\n",
                "[default]\nsso_region = x\n[sso-session a]\nsso_start_url = u\n",
            ),
        ] {
            assert_eq!(without_credentials(file), without);
        }
    }
}
