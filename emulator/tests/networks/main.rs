//! The emulator in networks that exist, and commands that reach the network outside.
//!
//! Each test makes the networks itself, with `unshare`, and everything that uses the addresses of
//! IMDS runs in them. Where namespaces are forbidden, the tests say that they did not run.

#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

mod impaired;
mod killed;
mod link_local;
mod outgoing;
mod prohibited;

use std::process::{Command, Output};

const EMULATOR: &str = env!("CARGO_BIN_EXE_imds-emulator");

/// Functions for the scripts: `start` runs the emulator in the background and waits until it is
/// ready, `stop` ends it, `until_dead` waits for the end of another process, `addresses` lists those
/// of IMDS on `lo`, and `ask` reads from both addresses like a program that has them compiled in.
const FUNCTIONS: &str = r#"
start() { "$EMULATOR" "$@" > "$FOLDER/ready" & emulator=$!; until [ -s "$FOLDER/ready" ]; do sleep 0.01; done; }
stop() { kill "$1" $emulator; wait $emulator; }
addresses() { ip -o address show dev lo | grep -oE '(169\.254\.169\.254|fd00:ec2::254)/[0-9]+'; }
lives() { grep -q 'State:.[^Z]' /proc/$1/status 2> /dev/null; }
until_dead() { for i in 1 2 3 4 5 6 7 8 9; do lives $1 || break; sleep 0.1; done; lives $1 || echo dead; }
ask() {
    for address in 169.254.169.254 '[fd00:ec2::254]'; do
        token=$(curl -sS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "http://$address/latest/api/token") &&
        curl -sS -m 5 -w '\n' -H "X-aws-ec2-metadata-token: $token" "http://$address/latest/meta-data/instance-id"
    done
}
"#;

/// Runs a script as root in a network of its own. `None` where that is forbidden, which is said.
fn run(script: &str) -> Option<Output> {
    let unshared = |program: &str| {
        let mut command = Command::new("timeout");
        command.args([
            "60",
            "unshare",
            "--user",
            "--map-root-user",
            "--net",
            program,
        ]);
        command
    };
    let allowed = unshared("true").output().unwrap();
    if !allowed.status.success() {
        let error = String::from_utf8_lossy(&allowed.stderr);
        eprintln!("not run, because namespaces are forbidden: {error}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = unshared("sh");
    command
        .args(["-c", &format!("{FUNCTIONS}\n{script}")])
        .env("EMULATOR", EMULATOR)
        .env("FOLDER", folder.path())
        .env_remove("IMDS_EMULATOR_CONFIG");
    Some(command.output().unwrap())
}

fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "", "{stdout}");
    stdout.into_owned()
}

/// The error and the remedy of a script whose last command failed.
fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
