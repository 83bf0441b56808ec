//! The command `ec2-role-credentials`, as a user runs it.

#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "cli", feature = "emulator"))]

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output};

use imds_emulator::Emulator;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ec2-role-credentials"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The value in the row that begins with `name`.
fn row<'a>(table: &'a str, name: &str) -> &'a str {
    table
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap()
        .trim()
}

#[test]
fn get_prints_credentials_from_the_embedded_emulator_and_hides_the_secrets() {
    let output = run(&["get", "--emulator"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(row(table, "access key id").starts_with("ASIA"), "{table}");
    assert!(
        row(table, "secret access key").contains("(40 characters, hidden"),
        "{table}"
    );
    assert!(row(table, "session token").contains("hidden"), "{table}");
    assert_eq!(row(table, "source"), "EC2RoleProvider");
    assert!(row(table, "expires").ends_with(" min)"), "{table}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn get_shows_the_secrets_when_asked() {
    let output = run(&["get", "--emulator", "--show-secrets"]);
    let table = stdout(&output);
    assert_eq!(row(table, "secret access key").len(), 40, "{table}");
    assert!(row(table, "session token").len() > 500, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_asks_the_endpoint_that_it_is_given() {
    let imds = Emulator::builder().start().await.unwrap();
    let url = imds.url().to_owned();
    let output = tokio::task::spawn_blocking(move || run(&["get", "--endpoint", &url]))
        .await
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(row(stdout(&output), "access key id").starts_with("ASIA"));
}

#[test]
fn get_says_what_went_wrong_and_what_to_do() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let output = run(&["get", "--endpoint", &format!("http://{port}")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    let mut lines = stderr(&output).lines();
    assert_eq!(
        lines.next(),
        Some("error: cannot get the IMDS session token: the connection was refused")
    );
    assert!(
        lines.next().unwrap().starts_with("remedy: "),
        "{}",
        stderr(&output)
    );
    assert_eq!(lines.next(), None);
}

#[test]
fn wrong_arguments_are_named() {
    let output = run(&["get", "--endpoint", "https://127.0.0.1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the endpoint is \"https://127.0.0.1\"; accepted: http://HOST"),
        "{}",
        stderr(&output)
    );

    let output = run(&["get", "--component", "/nowhere/x.wasm", "--emulator"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot read the component /nowhere/x.wasm"),
        "{}",
        stderr(&output)
    );

    let output = run(&["get", "--emulator", "--endpoint", "http://127.0.0.1"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn inspect_prints_what_the_component_is() {
    let output = run(&["inspect"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("\n  wasi:http/outgoing-handler@0.2.6\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  imds:credentials/provider@0.1.0\n"),
        "{text}"
    );
    assert_eq!(row(text, "sha256").len(), 64, "{text}");
    assert!(row(text, "size").ends_with(" bytes"), "{text}");
}

#[test]
fn what_is_not_a_component_is_refused() {
    let file = env!("CARGO_MANIFEST_PATH");
    let output = run(&["inspect", "--component", file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("error: this is not a component"),
        "{}",
        stderr(&output)
    );
}
