use tempfile::TempDir;

use crate::support::{closed, command, failure, result, run, stderr, stdout};

const COMMANDS: [&str; 10] = [
    "get",
    "process",
    "exec",
    "serve",
    "metadata",
    "watch",
    "doctor",
    "inspect",
    "completions",
    "man",
];

#[test]
fn every_command_has_help_with_an_example() {
    for name in COMMANDS {
        let help = result(&[name, "--help"]);
        assert!(help.contains("Example"), "{help}");
        assert!(
            help.contains(&format!("ec2-role-credentials {name}")),
            "{help}"
        );
        let longest = help.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "{help}");
    }
    let help = result(&["--help"]);
    for name in COMMANDS {
        assert!(help.contains(&format!("\n  {name} ")), "{help}");
    }
    assert!(
        help.contains("Exit status: 0 if the command succeeded, 1 if it failed"),
        "{help}"
    );
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = result(&["completions", shell]);
        for name in COMMANDS {
            assert!(script.contains(name), "{shell} {name}");
        }
    }
}

#[test]
fn wrong_settings_are_named() {
    let closed = closed();
    for (arguments, message) in [
        (
            &["get", "--endpoint", "https://127.0.0.1"][..],
            "the endpoint is \"https://127.0.0.1\"; accepted: http://HOST",
        ),
        (
            &["get", "--endpoint", "http://user:hunter2@127.0.0.1"],
            "the endpoint is \"http://..@127.0.0.1\"; accepted: http://HOST",
        ),
        (
            &["get", "--endpoint", &closed, "--role-name", "a b"],
            "error: --role-name is \"a b\"; accepted: ",
        ),
        (
            &["get", "--endpoint", &closed, "--attempts", "11"],
            "error: --attempts is \"11\"; accepted: 1 to 10",
        ),
        (
            &["get", "--endpoint", &closed, "--timeout", "0"],
            "accepted: a number of seconds from 0.001 to 60",
        ),
        (
            &["get", "--endpoint", &closed, "--wait", "abc"],
            "invalid value 'abc' for '--wait <DURATION>': accepted: numbers with units, like 90s, 2m",
        ),
        (
            &["get", "--endpoint", &closed, "--wait=-1s"],
            "invalid value '-1s' for '--wait <DURATION>': accepted: numbers with units, like 90s, 2m",
        ),
        (
            &["get", "--endpoint", &closed, "--wait", "5"],
            "invalid value '5' for '--wait <DURATION>': accepted: numbers with units, like 90s, 2m",
        ),
        (
            &["get", "--endpoint", &closed, "--wait", "101years"],
            "up to 100 years",
        ),
        (
            &["get", "--endpoint", &closed, "--log", "=="],
            "the log filter is \"==\"; accepted: ",
        ),
        (
            &["get", "--emulator", "--endpoint", "http://127.0.0.1"],
            "cannot be used with",
        ),
        (
            &["get", "--endpoint", &closed, "--profile", "nope"],
            "error: --profile is \"nope\"; accepted: ",
        ),
        (
            &["get", "--emulator=/nowhere/imds.toml"],
            "/nowhere/imds.toml: cannot read the configuration: ",
        ),
    ] {
        let complaint = failure(arguments, 2);
        assert!(complaint.contains(message), "{complaint}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }
    let complaint = failure(&["get", "--component", "/nowhere/x.wasm", "--emulator"], 1);
    assert!(
        complaint.contains("cannot read the component /nowhere/x.wasm"),
        "{complaint}"
    );
}

#[test]
fn nothing_is_written_without_a_cache() {
    let folder = TempDir::new().unwrap();
    // What the environment says is for other times.
    let output = command(&["get", "--emulator", "--no-cache"])
        .env("EC2_ROLE_CACHE", folder.path())
        .env("HOME", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn the_emulator_can_be_configured() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("imds.toml");
    std::fs::write(&config, "instance.instance-type = \"m7g.large\"\n").unwrap();
    let emulator = format!("--emulator={}", config.display());
    assert_eq!(
        result(&["metadata", "instance-type", &emulator]),
        "m7g.large"
    );

    std::fs::write(&config, "instance.instanz-type = \"m7g.large\"\n").unwrap();
    let complaint = failure(&["metadata", "instance-type", &emulator], 2);
    assert!(complaint.contains("instanz-type"), "{complaint}");
}

#[test]
fn settings_are_taken_from_the_profile() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("config");
    std::fs::write(
        &config,
        format!(
            "[profile mine]\nec2_metadata_service_endpoint = {}\n",
            closed()
        ),
    )
    .unwrap();
    let output = command(&["get", "--profile", "mine"])
        .env("AWS_CONFIG_FILE", &config)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the connection was refused"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn no_password_of_a_url_is_printed_wherever_it_stands() {
    let url = "http://user:hunter2@127.0.0.1";
    let with_equals = format!("--endpoint-mode={url}");
    for arguments in [
        &["get", url][..],
        &["get", "--endpoint", url],
        &["get", "--endpoint-mode", url],
        &["get", &with_equals],
        &["get", "--attempts", url],
        &["get", "--timeout", url],
        &["get", "--role-name", url],
        &["get", "--profile", url],
        &["get", "--imdsv1", url],
        &["get", "--log", url],
        &["get", "--component", url],
        &["get", "--wait", url],
        &["get", "--emulator", "--cache", url, "--keep", "--no-cache"],
        &["serve", "--listen", url],
        &[url],
    ] {
        let output = run(arguments);
        let complaint = stderr(&output).to_owned() + stdout(&output);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }
    for name in [
        "AWS_EC2_METADATA_V1_DISABLED",
        "AWS_PROFILE",
        "EC2_ROLE_LOG",
    ] {
        let output = command(&["get"]).env(name, url).output().unwrap();
        let complaint = stderr(&output).to_owned() + stdout(&output);
        assert!(!output.status.success(), "{name}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }
    let help = command(&["get", "--help"])
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        .env("EC2_ROLE_LOG", url)
        .output()
        .unwrap();
    assert!(!stdout(&help).contains("hunter2"), "{}", stdout(&help));
}
