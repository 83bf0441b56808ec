use super::*;
use crate::provider::{Builder, Ec2RoleProvider};

fn from_environment(variables: &[(&str, &str)]) -> Result<Resolved, Error> {
    let environment = Environment::from_iter(variables.iter().copied());
    resolve(Settings::default(), &environment, None)
}

fn refusal(variables: &[(&str, &str)]) -> String {
    let error = from_environment(variables).unwrap_err();
    assert!(error.is_invalid_configuration(), "{error:?}");
    error.to_string()
}

#[test]
fn without_anything_nothing_is_set() {
    let resolved = resolve(Settings::default(), &Environment::empty(), None).unwrap();
    assert_eq!(resolved.settings, Settings::default());
    assert_eq!(resolved.endpoint().unwrap(), Endpoint::ipv4());
}

#[test]
fn the_environment_sets_what_the_program_does_not() {
    let settings = from_environment(&[
        ("AWS_EC2_METADATA_DISABLED", "TRUE"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipV6"),
        ("AWS_EC2_METADATA_V1_DISABLED", "false"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "2.5"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "4"),
        ("AWS_EC2_INSTANCE_PROFILE_NAME", "role"),
    ])
    .unwrap()
    .settings;
    assert_eq!(settings.disabled, Some(true));
    assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:1"));
    assert_eq!(settings.endpoint_mode, Some(EndpointMode::Ipv6));
    assert_eq!(settings.imdsv1, Some(Imdsv1Policy::OnRefusal));
    assert_eq!(
        (settings.connect_timeout, settings.read_timeout),
        (
            Some(Duration::from_millis(2_500)),
            Some(Duration::from_millis(2_500))
        )
    );
    assert_eq!(settings.attempts, Some(4));
    // Twice (token and path) four times five seconds, and pauses of 1, 2 and 4 seconds.
    assert_eq!(settings.operation_timeout, Some(Duration::from_secs(54)));
    assert_eq!(settings.role_name.as_deref(), Some("role"));
}

#[test]
fn the_program_goes_before_the_environment() {
    let environment = Environment::from_iter([
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_EC2_METADATA_V1_DISABLED", "true"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "2"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "10"),
        ("AWS_EC2_INSTANCE_PROFILE_NAME", "role"),
    ]);
    let said = Settings {
        disabled: Some(false),
        endpoint: Some("http://127.0.0.1:2".into()),
        imdsv1: Some(Imdsv1Policy::OnAnyFailure),
        read_timeout: Some(Duration::from_millis(7)),
        operation_timeout: Some(Duration::from_millis(8)),
        attempts: Some(1),
        role_name: Some("another".into()),
        ..Settings::default()
    };
    let settings = resolve(said.clone(), &environment, None).unwrap().settings;
    let expected = Settings {
        connect_timeout: Some(Duration::from_secs(2)),
        ..said
    };
    assert_eq!(settings, expected);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let resolved = from_environment(&[
        ("AWS_EC2_METADATA_DISABLED", ""),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", ""),
        ("AWS_PROFILE", ""),
    ])
    .unwrap();
    assert_eq!(resolved.settings, Settings::default());
}

#[test]
fn the_mode_decides_where_there_is_no_endpoint() {
    let mode = ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
    let endpoint = from_environment(&[mode]).unwrap().endpoint();
    assert_eq!(endpoint.unwrap(), Endpoint::ipv6());
    let url = "http://127.0.0.1:1";
    let variables = [mode, ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)];
    let endpoint = from_environment(&variables).unwrap().endpoint();
    assert_eq!(endpoint.unwrap(), url.parse().unwrap());
}

#[test]
fn a_wrong_value_is_an_error_that_names_variable_value_and_what_is_accepted() {
    for (name, value, accepted) in [
        ("AWS_EC2_METADATA_DISABLED", "yes", "true or false"),
        ("AWS_EC2_METADATA_DISABLED", "1", "true or false"),
        ("AWS_EC2_METADATA_V1_DISABLED", " true", "true or false"),
        (
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
            "IPv5",
            "IPv4 or IPv6",
        ),
        (
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "https://127.0.0.1",
            "http://HOST, http://HOST:PORT",
        ),
        (
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "127.0.0.1:80",
            "http://HOST, http://HOST:PORT",
        ),
        (
            "AWS_METADATA_SERVICE_TIMEOUT",
            "0",
            "a number of seconds from 0.001 to 60",
        ),
        ("AWS_METADATA_SERVICE_TIMEOUT", "61", "a number of seconds"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "-1", "a number of seconds"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "NaN", "a number of seconds"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "1s", "a number of seconds"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "0", "1 to 10"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "11", "1 to 10"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1.5", "1 to 10"),
    ] {
        let message = refusal(&[(name, value)]);
        let expected =
            format!("the environment variable {name} is {value:?}; accepted: {accepted}");
        assert!(message.starts_with(&expected), "{message}");
    }
}

fn builder(variables: &[(&str, &str)]) -> Builder {
    let environment = Environment::from_iter(variables.iter().copied());
    Ec2RoleProvider::builder().environment(environment)
}

#[test]
fn no_password_of_a_url_is_printed_wherever_the_url_was_set() {
    let url = "http://user:hunter2@127.0.0.1";
    for name in [
        "AWS_EC2_METADATA_DISABLED",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        "AWS_EC2_METADATA_V1_DISABLED",
        "AWS_EC2_INSTANCE_PROFILE_NAME",
        "AWS_METADATA_SERVICE_TIMEOUT",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    ] {
        let builder = builder(&[(name, url)]);
        let printed = format!("{:?}", builder.settings());
        assert!(!printed.contains("hunter2"), "{name}: {printed}");
        let error = builder.build_blocking().unwrap_err();
        let printed = format!("{error:#} {error:?}");
        assert!(printed.contains(name), "{printed}");
        assert!(printed.contains("http://..@127.0.0.1"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
    for builder in [builder(&[]).role_name(url), builder(&[]).endpoint(url)] {
        let error = builder.clone().build_blocking().unwrap_err();
        let printed = format!("{builder:?} {error:#} {error:?}");
        assert!(printed.contains("http://..@127.0.0.1"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[test]
fn what_the_component_refuses_is_named_as_the_user_knows_it() {
    let error = builder(&[("AWS_EC2_INSTANCE_PROFILE_NAME", "a b")])
        .build_blocking()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the environment variable AWS_EC2_INSTANCE_PROFILE_NAME is \"a b\"; accepted: 1 to 64 letters, digits and +=,.@_-, also with the role's path in front, or the role's ARN"
    );
    // The host reads it as a URL, and the component takes no escapes.
    let endpoint = (
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "http://127.0.0.1:1/%2e",
    );
    let error = builder(&[endpoint]).build_blocking().unwrap_err();
    let expected = "the environment variable AWS_EC2_METADATA_SERVICE_ENDPOINT is \"http://127.0.0.1:1/%2e\"; accepted: http://HOST";
    assert!(error.to_string().starts_with(expected), "{error}");
    let error = builder(&[]).role_name("a b").build_blocking().unwrap_err();
    assert!(
        error.to_string().starts_with("option role-name is \"a b\""),
        "{error}"
    );
}

#[test]
fn no_url_is_shown_with_its_user_information() {
    const URL: &str = "http://user:hunter2@127.0.0.1:1";
    let name = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let by_environment = builder(&[(name, URL)]).build_blocking().unwrap_err();
    assert!(
        by_environment.to_string().starts_with(
            "the environment variable AWS_EC2_METADATA_SERVICE_ENDPOINT is \"http://..@127.0.0.1:1\"; accepted: "
        ),
        "{by_environment}"
    );
    let by_program = builder(&[]).endpoint(URL);
    let shown = format!("{by_program:?} {:?}", by_program.settings());
    assert!(shown.contains("http://..@127.0.0.1:1"), "{shown}");
    let refused = by_program.build_blocking().unwrap_err();
    let by_component = Error::from(wit::Error::InvalidConfiguration(wit::InvalidOption {
        name: "endpoint".into(),
        value: URL.into(),
        accepted: "another".into(),
    }));
    for text in [
        shown,
        format!("{by_environment:?} {refused:?} {by_component:?}"),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn the_environment_is_not_shown() {
    let environment = Environment::from_iter([("AWS_SECRET_ACCESS_KEY", "very secret")]);
    let shown = format!("{environment:?}");
    assert!(shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("very secret"));
}

#[cfg(feature = "profile")]
mod profile {
    use std::path::PathBuf;

    use super::*;

    /// Files of shared configuration, and the environment that names them.
    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new(config: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("config"), config).unwrap();
            Self { folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn resolve(
            &self,
            variables: &[(&str, &str)],
            name: Option<&str>,
        ) -> Result<Resolved, Error> {
            let config = self.path("config");
            let credentials = self.path("credentials");
            let files = [
                ("AWS_CONFIG_FILE", config.to_str().unwrap()),
                ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
            ];
            let environment =
                Environment::from_iter(files.into_iter().chain(variables.iter().copied()));
            resolve(Settings::default(), &environment, name)
        }
    }

    const CONFIG: &str = "
[default]
ec2_metadata_service_endpoint = http://127.0.0.1:1
ec2_metadata_v1_disabled = true

[profile other]
ec2_metadata_service_endpoint_mode = IPv6
ec2_metadata_v1_disabled = False
ec2_instance_profile_name = profile-role
metadata_service_timeout = 3
metadata_service_num_attempts = 1
credential_source = Ec2InstanceMetadata
";

    #[test]
    fn it_sets_what_the_environment_does_not() {
        let files = Files::new(CONFIG);
        let settings = files.resolve(&[], None).unwrap().settings;
        assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(settings.imdsv1, Some(Imdsv1Policy::Never));

        let environment = [
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:2"),
            ("AWS_EC2_METADATA_V1_DISABLED", "false"),
        ];
        let settings = files.resolve(&environment, None).unwrap().settings;
        assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(settings.imdsv1, Some(Imdsv1Policy::OnRefusal));
    }

    #[test]
    fn the_program_goes_before_aws_profile() {
        let files = Files::new(CONFIG);
        let other = files.resolve(&[("AWS_PROFILE", "other")], None).unwrap();
        let settings = &other.settings;
        assert_eq!(settings.endpoint, None);
        assert_eq!(settings.endpoint_mode, Some(EndpointMode::Ipv6));
        assert_eq!(settings.imdsv1, Some(Imdsv1Policy::OnRefusal));
        assert_eq!(settings.role_name.as_deref(), Some("profile-role"));
        assert_eq!(
            (settings.read_timeout, settings.attempts),
            (Some(Duration::from_secs(3)), Some(1))
        );
        assert_eq!(other.assume_role, None);
        let default = files.resolve(&[("AWS_PROFILE", "other")], Some("default"));
        assert_eq!(
            default.unwrap().settings.endpoint.as_deref(),
            Some("http://127.0.0.1:1")
        );
    }

    #[test]
    fn a_profile_that_is_not_there_is_an_error_if_it_was_asked_for() {
        let files = Files::new(CONFIG);
        let error = files.resolve(&[("AWS_PROFILE", "none")], None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the environment variable AWS_PROFILE names the profile \"none\"; accepted: a profile of the shared configuration files (default, other)"
        );
        let error = files.resolve(&[], Some("none")).unwrap_err();
        assert!(
            error.to_string().starts_with("the program names"),
            "{error}"
        );
        let empty = Files::new("");
        assert_eq!(empty.resolve(&[], None).unwrap().settings.endpoint, None);
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key_and_its_profile() {
        let files = Files::new("[profile p]\nec2_metadata_v1_disabled = no\n");
        let error = files.resolve(&[], Some("p")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ec2_metadata_v1_disabled in the profile \"p\" is \"no\"; accepted: true or false"
        );
        let files = Files::new("[default]\nec2_instance_profile_name = a b\n");
        let settings = files.resolve(&[], None).unwrap();
        let invalid = wit::Error::InvalidConfiguration(wit::InvalidOption {
            name: "role-name".into(),
            value: "a b".into(),
            accepted: "letters".into(),
        });
        assert_eq!(
            settings.explain(invalid).to_string(),
            "ec2_instance_profile_name in the profile \"default\" is \"a b\"; accepted: letters"
        );
        let files = Files::new("[default\n");
        let error = files.resolve(&[], None).unwrap_err();
        assert!(error.is_invalid_configuration(), "{error:?}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("config"), "{source}");
    }

    #[test]
    fn another_source_of_credentials_is_an_error() {
        let files = Files::new("[default]\ncredential_source = Environment\n");
        let error = files.resolve(&[], None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "credential_source in the profile \"default\" is \"Environment\"; accepted: Ec2InstanceMetadata"
        );
    }

    #[test]
    fn the_role_to_assume_is_known() {
        let files = Files::new(
            "[default]\ncredential_source = Ec2InstanceMetadata\nrole_arn = arn:aws:iam::123456789012:role/r\nexternal_id = x\n",
        );
        let role = files.resolve(&[], None).unwrap().assume_role.unwrap();
        assert_eq!(role.role_arn, "arn:aws:iam::123456789012:role/r");
        assert_eq!(
            (role.role_session_name, role.external_id),
            (None, Some("x".into()))
        );
    }

    #[test]
    fn files_are_found_in_the_home_directory() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(
            home.path().join(".aws/config"),
            "[default]\nec2_instance_profile_name = at-home\n",
        )
        .unwrap();
        let environment = Environment::from_iter([("HOME", home.path().to_str().unwrap())]);
        let resolved = resolve(Settings::default(), &environment, None).unwrap();
        assert_eq!(resolved.settings.role_name.as_deref(), Some("at-home"));
    }
}
