use imds_emulator::{Emulator, Preset};

use crate::support::{Imds, Running, result};

#[test]
fn every_change_is_a_line_without_a_secret() {
    let imds = Imds::start(Emulator::builder());
    let mut watch = Running::start(&["watch", "--json", "--endpoint", imds.url()]);
    let line = watch.line_with(|line| line.contains("\"failing-since\":null"));
    let status: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(
        status["access-key-id"]
            .as_str()
            .unwrap()
            .starts_with("ASIA"),
        "{line}"
    );
    assert_eq!(status["imds-version"], "v2");
    assert!(status["next-refresh"].is_string(), "{line}");
    let shown = result(&["get", "--endpoint", imds.url(), "--format", "json"]);
    let credentials: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(credentials["access-key-id"], status["access-key-id"]);
    for secret in ["secret-access-key", "session-token"] {
        assert!(
            !line.contains(credentials[secret].as_str().unwrap()),
            "{secret}"
        );
    }
    #[cfg(unix)]
    assert_eq!(watch.terminate(), Some(0));
}

#[test]
fn an_outage_is_shown_with_its_cause() {
    let second = chrono::TimeDelta::seconds(1);
    let imds = Imds::start(Emulator::builder().rotation(second * 2, second * 2));
    let arguments = [
        "watch",
        "--endpoint",
        imds.url(),
        "--attempts",
        "1",
        "--timeout",
        "0.1",
    ];
    let watch = Running::start(&arguments);
    watch.line_with(|line| line.starts_with("access key ID      ASIA"));
    imds.preset(Preset::ImdsOutage).unwrap();
    let since = watch.line_with(|line| line.starts_with("failing since") && !line.ends_with(" -"));
    assert!(since.contains("Z ("), "{since}");
    let error = watch.line_with(|line| line.starts_with("last failure"));
    assert!(error.contains("cannot get "), "{error}");
}

#[test]
fn failures_before_the_first_credentials_are_shown_as_failures() {
    let imds = Imds::start(Emulator::builder().without_role());
    let watch = Running::start(&["watch", "--endpoint", imds.url()]);
    watch.line_with(|line| line == "refreshes          1");
    assert_eq!(watch.line(), "extensions         0 in a row");
    watch.line_with(|line| line.starts_with("failing since      2"));
    let failure = watch.line();
    assert!(
        failure.starts_with("last failure       2") && failure.contains("the name of the role"),
        "{failure}"
    );
}
