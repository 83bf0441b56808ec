use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use imds_emulator::{Emulator, Preset};

use crate::support::{Imds, Running, failure, request, result, run, until};

/// A server, and what it says of itself.
struct Served {
    running: Running,
    url: String,
    token: String,
}

fn serve(arguments: &[&str]) -> Served {
    let running = Running::start(&[&["serve"], arguments].concat());
    let variable = |name: &str| {
        let line = running.line();
        let value = line
            .strip_prefix(&format!("export {name}="))
            .map(str::to_owned);
        value.unwrap_or_else(|| panic!("{line}"))
    };
    let url = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    Served {
        running,
        url,
        token,
    }
}

#[test]
fn who_has_the_token_gets_the_credentials() {
    let served = serve(&["--emulator"]);
    assert!(
        served.url.starts_with("http://127.0.0.1:"),
        "{}",
        served.url
    );
    let answer = request("GET", &served.url, Some(&served.token));
    assert_eq!(answer.status, 200);
    let head = answer.head.to_lowercase();
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let document = answer.json();
    for key in ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"] {
        assert!(!document[key].as_str().unwrap().is_empty(), "{key}");
    }
    let expires: DateTime<Utc> = document["Expiration"].as_str().unwrap().parse().unwrap();
    assert!(expires > Utc::now());
}

#[test]
fn nobody_else_does() {
    let served = serve(&["--emulator"]);
    let wrong = "0".repeat(served.token.len());
    let short = &served.token[1..];
    for token in [None, Some(""), Some(wrong.as_str()), Some(short)] {
        let answer = request("GET", &served.url, token);
        assert_eq!(answer.status, 401, "{token:?}");
        assert!(!answer.body.contains("ASIA"), "{}", answer.body);
        assert!(!answer.body.contains(&served.token), "{}", answer.body);
    }
    let elsewhere = served.url.replace("/credentials", "/");
    assert_eq!(request("GET", &elsewhere, Some(&served.token)).status, 404);
    assert_eq!(
        request("POST", &served.url, Some(&served.token)).status,
        405
    );
}

#[test]
fn it_survives_an_outage_even_beyond_the_end_of_the_credentials() {
    let second = TimeDelta::seconds(1);
    let imds = Imds::start(Emulator::builder().rotation(second * 4, second * 4));
    let served = serve(&[
        "--endpoint",
        imds.url(),
        "--timeout",
        "0.1",
        "--attempts",
        "1",
    ]);
    let ask = || {
        let answer = request("GET", &served.url, Some(&served.token));
        assert_eq!(answer.status, 200, "{answer:?}");
        let document = answer.json();
        let expires: DateTime<Utc> = document["Expiration"].as_str().unwrap().parse().unwrap();
        // An SDK takes no others.
        assert!(expires > Utc::now(), "{document}");
        (
            document["AccessKeyId"].as_str().unwrap().to_owned(),
            expires,
        )
    };
    let (key, end) = ask();
    imds.preset(Preset::ImdsOutage).unwrap();
    let mut last = (key, end);
    until(|| {
        last = ask();
        Utc::now() > end + second
    });
    // Which is when it said that they last longer.
    assert!(last.1 > end + TimeDelta::minutes(5), "{last:?}");
    imds.remove_preset(Preset::ImdsOutage);
    ask();
}

#[test]
fn where_there_are_none_it_says_why() {
    let imds = Imds::start(Emulator::builder().without_role());
    let served = serve(&["--endpoint", imds.url()]);
    let answer = request("GET", &served.url, Some(&served.token));
    assert_eq!(answer.status, 503);
    let body = answer.json();
    assert_eq!(body["code"], "no-role");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("the name of the role"),
        "{body}"
    );
}

#[test]
fn it_is_for_this_machine_alone() {
    let complaint = failure(&["serve", "--emulator", "--listen", "0.0.0.0:0"], 2);
    assert!(
        complaint.contains("--listen is 0.0.0.0:0; accepted: a loopback address"),
        "{complaint}"
    );
}

#[test]
fn the_command_beside_it_is_told_where_it_is_and_of_no_other_source() {
    let script = "env | grep ^AWS_";
    let output = crate::support::command(&["serve", "--emulator", "--", "sh", "-c", script])
        .env("AWS_ACCESS_KEY_ID", "of somebody else")
        .env(
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "/of/somebody/else",
        )
        .output()
        .unwrap();
    let text = str::from_utf8(&output.stdout).unwrap();
    let variables: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    assert!(
        variables.contains_key("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        "{text}"
    );
    assert!(
        variables.contains_key("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        "{text}"
    );
    assert!(!text.contains("somebody"), "{text}");

    assert_eq!(
        result(&["serve", "--emulator", "--", "echo", "hello"]),
        "hello\n"
    );
    let status = run(&["serve", "--emulator", "--", "sh", "-c", "exit 3"]).status;
    assert_eq!(status.code(), Some(3));
}

#[cfg(unix)]
#[test]
fn it_stops_when_asked() {
    let mut served = serve(&["--emulator"]);
    assert_eq!(served.running.terminate(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_sigterm_is_for_the_command_to_answer() {
    let script = "trap 'echo asked; sleep 0.1; exit 7' TERM; echo ready; for i in $(seq 400); do sleep 0.05; done";
    let mut running = Running::start(&["serve", "--emulator", "--", "sh", "-c", script]);
    assert_eq!(running.line(), "ready");
    assert_eq!(running.terminate(), Some(7));
    assert_eq!(running.line(), "asked");
}
