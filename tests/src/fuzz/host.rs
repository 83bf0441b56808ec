//! Targets for what the host parses: the environment and shared configuration files.

use std::error::Error as _;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::time::Duration;

use ec2_role_component::config as component;
use ec2_role_component::error::Error as Refused;
use ec2_role_host::egress::Egress;
use ec2_role_host::{
    Builder, Ec2RoleProvider, EndpointMode, Environment, Error, Imdsv1Policy, Settings,
};
use tempfile::TempDir;

use super::disguised;
use crate::settings::options;

/// The variables that name files, which are for [`profile`].
const FILES: [&str; 7] = [
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "HOME",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
];

/// Each setting with its names in the environment and in a profile.
const NAMES: [(&str, &str); 7] = [
    ("AWS_EC2_METADATA_DISABLED", ""),
    (
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "ec2_metadata_service_endpoint",
    ),
    (
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        "ec2_metadata_service_endpoint_mode",
    ),
    ("AWS_EC2_METADATA_V1_DISABLED", "ec2_metadata_v1_disabled"),
    ("AWS_EC2_INSTANCE_PROFILE_NAME", "ec2_instance_profile_name"),
    ("AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout"),
    (
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
        "metadata_service_num_attempts",
    ),
];

/// Environment variables, as lines of `NAME=VALUE`.
///
/// Accepted settings must be within their ranges, must be the same when they are passed again, and must be
/// accepted by the component. An error must name a variable and its value. `Debug` must show no value.
pub fn host_settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let variables: Vec<(&str, &str)> = lines.filter(|(name, _)| !FILES.contains(name)).collect();
    let builder = builder(variables.iter().copied());
    let hidden = variables.iter().map(|(name, value)| {
        let value = disguised(value.as_bytes(), 0..value.len());
        (*name, String::from_utf8(value).unwrap())
    });
    let hidden = Ec2RoleProvider::builder().environment(hidden.collect());
    assert_eq!(format!("{builder:?}"), format!("{hidden:?}"));

    let settings = match builder.settings() {
        Ok(settings) => settings,
        Err(error) => {
            let text = error.to_string();
            assert!(
                error.is_invalid_configuration() && text.contains("; accepted: "),
                "{text}"
            );
            let is_named = NAMES.iter().any(|(name, _)| {
                let value = variables.iter().rev().find(|(known, _)| known == name);
                value.is_some_and(|(_, value)| {
                    let shown = match (*name, value.rsplit_once('@')) {
                        // Without the user information.
                        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Some((_, host))) => {
                            format!("@{host}")
                        }
                        // A URL in the wrong place.
                        (_, Some((_, host))) if value.contains("://") => format!("@{host}"),
                        _ => (*value).to_owned(),
                    };
                    let shown = format!("{shown:?}");
                    let end = shown.strip_prefix('"').unwrap_or_default();
                    text.contains(&format!("{name} is \"")) && text.contains(end)
                })
            });
            assert!(is_named, "{text}");
            return;
        }
    };
    check(&settings);
    let again = values(&settings).into_iter().zip(NAMES);
    let again = again.filter_map(|(value, (name, _))| Some((name, value?)));
    let again = Ec2RoleProvider::builder().environment(again.collect());
    assert_eq!(again.settings().unwrap(), settings);
    match component::Config::new(options(settings)) {
        Ok(_) => {}
        // The host remembers the names of these.
        Err(Refused::InvalidConfiguration(invalid)) => {
            assert!(
                matches!(invalid.name.as_str(), "endpoint" | "role-name"),
                "{invalid}"
            );
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// A file, parsed as the configuration and as the credentials, for the default profile and for another profile.
///
/// The same must hold for its settings, and no output may depend on a secret in it.
pub fn profile(bytes: &[u8]) {
    let all = Files::with(|files| files.read_all(bytes));
    for outcome in &all {
        match outcome {
            Ok(settings) => check_profile(settings),
            Err(error) => {
                assert!(error.is_invalid_configuration(), "{error:?}");
                assert!(error.source().is_some() || error.to_string().contains("; accepted: "));
            }
        }
    }
    let before = all.map(|outcome| written(&outcome));
    for secret in secrets(bytes) {
        let others = Files::with(|files| files.read_all(&disguised(bytes, secret)));
        assert_eq!(others.map(|outcome| written(&outcome)), before);
    }
}

fn builder<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Builder {
    Ec2RoleProvider::builder().environment(Environment::from_iter(variables))
}

/// A file that exists, and one that does not. Each thread has its own.
struct Files {
    folder: TempDir,
}

impl Files {
    fn with<T>(what: impl FnOnce(&Self) -> T) -> T {
        thread_local! {
            static FILES: Files = Files {
                folder: tempfile::tempdir().unwrap(),
            };
        }
        FILES.with(what)
    }

    fn read_all(&self, bytes: &[u8]) -> [Result<Settings, Error>; 4] {
        fs::write(self.folder.path().join("file"), bytes).unwrap();
        [
            self.read("file", "none", None),
            self.read("file", "none", Some("p")),
            self.read("none", "file", None),
            self.read("none", "file", Some("p")),
        ]
    }

    fn read(&self, config: &str, credentials: &str, name: Option<&str>) -> Result<Settings, Error> {
        let path = |file: &str| self.folder.path().join(file).to_str().unwrap().to_owned();
        let (config, credentials) = (path(config), path(credentials));
        let variables = [
            ("AWS_CONFIG_FILE", config.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
        ];
        let builder = builder(variables.into_iter());
        match name {
            Some(name) => builder.profile(name),
            None => builder,
        }
        .settings()
    }
}

fn check_profile(settings: &Settings) {
    check(settings);
    let mut text = "[default]\n".to_owned();
    for (value, (_, key)) in values(settings).into_iter().zip(NAMES) {
        let Some(value) = value else { continue };
        assert!(!key.is_empty(), "a profile cannot say {value:?}");
        // Characters that would start a comment or end the line.
        if value.contains(|letter: char| letter.is_whitespace() || matches!(letter, '#' | ';')) {
            return;
        }
        writeln!(text, "{key} = {value}").unwrap();
    }
    let [again, ..] = Files::with(|files| files.read_all(text.as_bytes()));
    assert_eq!(again.unwrap(), *settings);
}

/// What must hold for accepted settings.
fn check(settings: &Settings) {
    let within = |time: Option<Duration>, least, most| {
        time.is_none_or(|time| (least..=most).contains(&time.as_millis()))
    };
    assert!(within(settings.connect_timeout, 1, 60_000));
    assert_eq!(settings.read_timeout, settings.connect_timeout);
    assert!(within(settings.operation_timeout, 5_000, 600_000));
    assert!(
        settings
            .attempts
            .is_none_or(|attempts| (1..=10).contains(&attempts))
    );
    let is_patient = settings.connect_timeout.is_some() || settings.attempts.is_some();
    assert_eq!(settings.operation_timeout.is_some(), is_patient);
    if let Some(endpoint) = &settings.endpoint {
        assert!(endpoint.parse::<Egress>().is_ok());
        let authority = endpoint.split('/').nth(2).unwrap_or_default();
        assert!(!authority.contains('@'), "{endpoint}");
    }
    assert_ne!(settings.imdsv1, Some(Imdsv1Policy::OnAnyFailure));
    assert_ne!(settings.role_name.as_deref(), Some(""));
}

/// The values that produce these settings, in the order of [`NAMES`].
fn values(settings: &Settings) -> [Option<String>; 7] {
    [
        settings.disabled.map(|disabled| disabled.to_string()),
        settings.endpoint.clone(),
        settings.endpoint_mode.map(|mode| match mode {
            EndpointMode::Ipv4 => "IPv4".into(),
            _ => "IPv6".into(),
        }),
        settings
            .imdsv1
            .map(|policy| (policy == Imdsv1Policy::Never).to_string()),
        settings.role_name.clone(),
        settings.connect_timeout.map(|timeout| {
            let milliseconds = timeout.as_millis();
            format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
        }),
        settings.attempts.map(|attempts| attempts.to_string()),
    ]
}

/// All output of an outcome.
fn written(outcome: &Result<Settings, Error>) -> String {
    let mut text = format!("{outcome:?}");
    let mut error = outcome
        .as_ref()
        .err()
        .map(|error| error as &dyn std::error::Error);
    while let Some(cause) = error {
        write!(text, "\n{cause}\n{cause:?}").unwrap();
        error = cause.source();
    }
    text
}

/// The places of secrets in a profile that consist of letters and digits up to the end of the line.
fn secrets(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b'=');
        let (name, secret) = (parts.next(), parts.next());
        let name = name.unwrap_or_default().trim_ascii();
        let secret = secret.unwrap_or_default().trim_ascii();
        let is_secret = matches!(name, b"aws_secret_access_key" | b"aws_session_token");
        if is_secret && !secret.is_empty() && secret.iter().all(u8::is_ascii_alphanumeric) {
            let end = from + line.trim_ascii_end().len();
            found.push(end - secret.len()..end);
        }
        from += line.len();
    }
    found
}
