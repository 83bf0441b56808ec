use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use imds_emulator::fault::kinds::Status;
use imds_emulator::{Emulator, Preset};
use tempfile::TempDir;

use crate::support::{Imds, closed, command, failure, result, row, stderr, stdout};

#[test]
fn the_table_hides_the_secrets() {
    let table = result(&["get", "--emulator"]);
    assert!(row(&table, "access key ID").starts_with("ASIA"), "{table}");
    let hidden = row(&table, "secret access key");
    assert!(hidden.contains("(40 characters, hidden"), "{table}");
    assert!(row(&table, "session token").contains("hidden"), "{table}");
    assert_eq!(row(&table, "source"), "EC2RoleProvider");
    assert!(row(&table, "expires").contains("Z (in "), "{table}");
}

#[test]
fn the_table_shows_the_secrets_when_asked() {
    let table = result(&["get", "--emulator", "--show-secrets"]);
    assert_eq!(row(&table, "secret access key").len(), 40, "{table}");
    assert!(row(&table, "session token").len() > 500, "{table}");
}

#[test]
fn all_formats_say_the_same() {
    // Credentials with more than an hour left expire an hour from now, each time.
    let minutes = chrono::TimeDelta::minutes(30);
    let imds = Imds::start(Emulator::builder().rotation(minutes, minutes));
    let get = |format| result(&["get", "--endpoint", imds.url(), "--format", format]);

    let json: serde_json::Value = serde_json::from_str(&get("json")).unwrap();
    let process: serde_json::Value = serde_json::from_str(&get("process")).unwrap();
    for (key, also) in [
        ("access-key-id", "AccessKeyId"),
        ("secret-access-key", "SecretAccessKey"),
        ("session-token", "SessionToken"),
        ("expires", "Expiration"),
    ] {
        assert!(json[key].is_string(), "{key}");
        assert_eq!(json[key], process[also], "{key}");
    }
    assert_eq!(json["source"], "EC2RoleProvider");
    assert_eq!(json["account-id"], serde_json::Value::Null);
    let expires: DateTime<Utc> = json["expires"].as_str().unwrap().parse().unwrap();
    assert!(expires > Utc::now());

    // As a shell takes it.
    let script = get("env")
        + "printf '%s\\n' \"$AWS_ACCESS_KEY_ID\" \"$AWS_SECRET_ACCESS_KEY\" \
        \"$AWS_SESSION_TOKEN\" \"$AWS_CREDENTIAL_EXPIRATION\" \"${AWS_ACCOUNT_ID-unset}\"";
    let shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .output()
        .unwrap();
    let lines: Vec<_> = str::from_utf8(&shell.stdout).unwrap().lines().collect();
    let expected = [
        "access-key-id",
        "secret-access-key",
        "session-token",
        "expires",
    ];
    let expected = expected.map(|key| json[key].as_str().unwrap());
    assert_eq!(lines, [expected.as_slice(), &["unset"]].concat());
}

#[test]
fn it_asks_where_the_environment_says() {
    let imds = Imds::start(Emulator::builder().role("from-environment"));
    let output = command(&["get", "--format", "json"])
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let asked = imds
        .find(&imds_emulator::journal::Filter::default())
        .unwrap();
    let last = asked.exchanges.last().unwrap();
    assert!(last.path.ends_with("/from-environment"), "{}", last.path);
}

#[test]
fn it_says_what_went_wrong_and_what_to_do() {
    let complaint = failure(&["get", "--endpoint", &closed()], 1);
    let lines: Vec<_> = complaint.lines().collect();
    assert_eq!(
        lines[0],
        "error: cannot get the IMDS session token: the connection was refused"
    );
    assert!(lines[1].starts_with("remedy: "), "{complaint}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn it_logs_to_standard_error_when_asked_and_no_secret() {
    let imds = Imds::start(Emulator::builder());
    let output = command(&["get", "--endpoint", imds.url(), "--show-secrets"])
        .env("EC2_ROLE_LOG", "trace")
        .output()
        .unwrap();
    let log = stderr(&output);
    assert!(log.contains("credentials refreshed"), "{log}");
    let table = str::from_utf8(&output.stdout).unwrap();
    for secret in ["secret access key", "session token"] {
        assert!(!log.contains(row(table, secret)), "{secret}");
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let mut child = command(&["get", "--emulator"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
    assert!(output.status.success());
}

#[test]
fn a_look_up_may_take_as_long_as_its_time_outs() {
    let second = chrono::TimeDelta::seconds(1);
    let imds = Imds::start(Emulator::builder());
    let slow = imds_emulator::fault::kinds::Latency::new(second * 3).jitter(second);
    let rule = imds_emulator::fault::Rule::new("slow", slow);
    let _fault = imds.fault(rule.on("/latest/api/token")).unwrap();
    let arguments = ["get", "--endpoint", imds.url(), "--attempts", "1"];
    failure(&[&arguments[..], &["--timeout", "0.5"]].concat(), 1);
    let table = result(&[&arguments[..], &["--timeout", "20"]].concat());
    assert!(row(&table, "access key ID").starts_with("ASIA"), "{table}");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let output = command(&["get", "--emulator"])
        .env("EC2_ROLE_CACHE", "")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_other_formats_are_those_of_the_aws_cli() {
    let minutes = chrono::TimeDelta::minutes(30);
    let imds = Imds::start(Emulator::builder().rotation(minutes, minutes));
    let get = |format| result(&["get", "--endpoint", imds.url(), "--format", format]);
    let json: serde_json::Value = serde_json::from_str(&get("json")).unwrap();
    let key = json["secret-access-key"].as_str().unwrap();
    for (format, line) in [
        ("env-no-export", format!("AWS_SECRET_ACCESS_KEY={key}")),
        (
            "powershell",
            format!("$Env:AWS_SECRET_ACCESS_KEY = '{key}'"),
        ),
        (
            "windows-cmd",
            format!("set \"AWS_SECRET_ACCESS_KEY={key}\""),
        ),
        ("fish", format!("set -gx AWS_SECRET_ACCESS_KEY '{key}'")),
    ] {
        let text = get(format);
        assert_eq!(text.lines().nth(1), Some(line.as_str()), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}

#[test]
fn it_waits_until_imds_is_ready() {
    let closed = closed();
    let address = closed.strip_prefix("http://").unwrap().parse().unwrap();
    let start = Instant::now();
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        Imds::start(Emulator::builder().bind(address))
    });
    let waiting = ["get", "--endpoint", &closed, "--attempts", "1", "--wait"];
    let output = crate::support::run(&[&waiting[..], &["60s"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(start.elapsed() >= Duration::from_secs(2));
    drop(later.join().unwrap());

    // No longer than asked, and not for what does not pass.
    let start = Instant::now();
    let complaint = failure(&[&waiting[..], &["2s"]].concat(), 1);
    assert!(
        complaint.contains("the connection was refused"),
        "{complaint}"
    );
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    let start = Instant::now();
    let output = command(&["get", "--wait", "60s"])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn it_waits_while_imds_rejects_the_tokens_that_it_has_just_issued() {
    let imds = Imds::start(Emulator::builder());
    let flap = imds_emulator::fault::Fault::token_flap();
    let rule = imds_emulator::fault::Rule::new("first boot", flap);
    // Each look-up asks twice, with a new token each time.
    let list = "/latest/meta-data/iam/security-credentials/";
    let _fault = imds.fault(rule.on(list).times(8)).unwrap();
    let arguments = ["get", "--endpoint", imds.url()];
    let complaint = failure(&arguments, 1);
    assert!(complaint.contains("IMDS answered 401"), "{complaint}");

    let start = Instant::now();
    let table = result(&[&arguments[..], &["--wait", "60s"]].concat());
    assert!(row(&table, "access key ID").starts_with("ASIA"), "{table}");
    // Three look-ups failed, with a pause of a second after each.
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
}

#[test]
fn it_does_not_wait_longer_than_asked_for_an_imds_that_does_not_respond() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let get = |more: &[&str]| {
        // The component is compiled before the clock starts.
        result(&["get", "--emulator"]);
        let start = Instant::now();
        let complaint = failure(&[&["get", "--endpoint", &endpoint], more].concat(), 1);
        let waited = start.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        assert!(waited < Duration::from_secs(3), "{waited:?}");
        complaint
    };
    for timeout in ["1", "3"] {
        let complaint = get(&["--wait", "1s", "--timeout", timeout]);
        assert_eq!(
            complaint,
            format!(
                "error: cannot get credentials from {endpoint}: the first attempt took longer \
                 than 1s (--wait); `ec2-role-credentials doctor` finds out why\n"
            )
        );
    }
    // The second attempt times out, too, and the error is that of the first.
    let second = ["--wait", "2s", "--timeout", "0.8", "--attempts", "1"];
    let complaint = get(&second);
    assert!(complaint.contains("session token"), "{complaint}");
    assert!(complaint.contains("\nremedy: "), "{complaint}");
}

#[test]
fn it_tries_for_the_last_time_when_the_time_has_passed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, connections) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Each connection is closed at once.
        while listener.accept().is_ok() && sender.send(Instant::now()).is_ok() {}
    });
    let arguments = ["get", "--endpoint", &endpoint, "--attempts", "1", "--wait"];
    failure(&[&arguments[..], &["1500ms"]].concat(), 1);
    let connections: Vec<Instant> = connections.try_iter().collect();
    let waited = *connections.last().unwrap() - connections[0];
    // The attempt before began after a second.
    assert!(waited >= Duration::from_millis(1300), "{waited:?}");
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[test]
fn the_last_attempt_gets_credentials_and_stores_them() {
    let imds = Imds::start(Emulator::builder());
    let cache = TempDir::new().unwrap();
    let get = |more: &[&str]| {
        let arguments = ["get", "--endpoint", imds.url(), "--attempts", "1", "--keep"];
        command(&[&arguments[..], more].concat())
            .env("EC2_ROLE_CACHE", cache.path())
            .output()
            .unwrap()
    };
    let waited = || {
        let rule = imds_emulator::fault::Rule::new("outage", Status::new(500));
        let token = "/latest/api/token";
        let _outage = imds.fault(rule.on(token).times(1)).unwrap();
        // Less than a second passes between the two attempts.
        let output = get(&["--wait", "600ms"]);
        output.status.success().then_some(output)
    };
    // On a busy machine, the last attempt may be too slow.
    let output = (0..10).find_map(|_| waited()).unwrap();
    let key = |output| row(stdout(output), "access key ID").to_owned();

    imds.preset(Preset::ImdsOutage).unwrap();
    let kept = get(&["--timeout", "0.2"]);
    assert!(kept.status.success(), "{}", stderr(&kept));
    assert_eq!(key(&kept), key(&output));
}
