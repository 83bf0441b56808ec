use imds_emulator::Emulator;

use crate::support::{Imds, command, failure, result, run, stderr, stdout};

const NAMES: &str = "env | grep '^AWS_' | cut -d= -f1 | sort";

#[test]
fn the_command_has_the_credentials_in_its_environment() {
    let imds = Imds::start(Emulator::builder());
    let output = command(&["exec", "--endpoint", imds.url(), "--", "sh", "-c"])
        .arg(format!("{NAMES}; echo $AWS_ACCESS_KEY_ID"))
        .env("AWS_ACCESS_KEY_ID", "of somebody else")
        .env("AWS_ACCOUNT_ID", "of somebody else")
        .env("AWS_SECURITY_TOKEN", "of somebody else")
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "");
    let lines: Vec<_> = stdout(&output).lines().collect();
    let names = [
        "AWS_ACCESS_KEY_ID",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ];
    assert_eq!(lines[..4], names);
    assert!(lines[4].starts_with("ASIA"), "{lines:?}");
}

#[test]
fn no_profile_comes_first() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    std::fs::write(&config, "[profile work]\nregion = eu-west-3 # Paris\n").unwrap();
    let show =
        "echo ${AWS_PROFILE-none} ${AWS_DEFAULT_PROFILE-none} $AWS_REGION $AWS_DEFAULT_REGION";
    let exec = |region: &[(&str, &str)]| {
        let output = command(&["exec", "--emulator", "--", "sh", "-c", show])
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_PROFILE", "work")
            .env("AWS_DEFAULT_PROFILE", "work")
            .envs(region.iter().copied())
            .output()
            .unwrap();
        stdout(&output).to_owned()
    };
    // Its region stays, unless there is another one.
    assert_eq!(exec(&[]), "none none eu-west-3 eu-west-3\n");
    assert_eq!(
        exec(&[("AWS_REGION", "us-east-2")]),
        "none none us-east-2\n"
    );
}

#[test]
fn with_the_emulator_the_command_finds_that_too() {
    let names = result(&["exec", "--emulator", "--", "sh", "-c", NAMES]);
    assert!(
        names.contains("AWS_EC2_METADATA_SERVICE_ENDPOINT\n"),
        "{names}"
    );
    assert!(names.contains("AWS_SECRET_ACCESS_KEY\n"), "{names}");
}

#[test]
fn its_exit_status_is_ours() {
    let imds = Imds::start(Emulator::builder());
    for source in [&["--emulator"][..], &["--endpoint", imds.url()]] {
        let exec = |shell| {
            let arguments = [&["exec"], source, &["--", "sh", "-c", shell]].concat();
            run(&arguments).status
        };
        assert_eq!(exec("exit 0").code(), Some(0));
        assert_eq!(exec("exit 37").code(), Some(37));
    }
    // There we are the command; here we say of the command what a shell would.
    let killed = run(&["exec", "--emulator", "--", "sh", "-c", "kill -9 $$"]).status;
    assert_eq!(killed.code(), Some(137));
}

#[test]
fn a_command_that_cannot_be_run_is_told_from_one_that_is_not_there() {
    let imds = Imds::start(Emulator::builder());
    for source in [&["--emulator"][..], &["--endpoint", imds.url()]] {
        let exec = |program| [&["exec"], source, &["--", program]].concat();
        let complaint = failure(&exec("/nowhere/at-all"), 127);
        assert!(
            complaint.contains("cannot run /nowhere/at-all: "),
            "{complaint}"
        );
        let complaint = failure(&exec("/"), 126);
        assert!(complaint.contains("cannot run /: "), "{complaint}");
    }
}

#[test]
fn without_credentials_the_command_is_not_run() {
    let imds = Imds::start(Emulator::builder().without_role());
    failure(&["exec", "--endpoint", imds.url(), "--", "echo", "run"], 1);
}
