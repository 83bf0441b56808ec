use std::net::{Ipv4Addr, TcpListener};

use imds_emulator::fault::{Fault, Rule};
use imds_emulator::{Builder, Emulator, Preset};

use crate::server::{
    API_TOKEN, Answers, DOCUMENT, LIST, SECRET, document, ok, response, serve, usual,
};
use crate::support::{Imds, closed, command, run, stderr, stdout};

/// The steps, each with its mark; and the remedy, which stands under the last one.
fn doctor(arguments: &[&str]) -> (Vec<String>, Option<String>) {
    let arguments = [
        &["doctor", "--timeout", "0.2", "--attempts", "1"],
        arguments,
    ]
    .concat();
    let output = run(&arguments);
    assert_eq!(stderr(&output), "");
    let lines: Vec<_> = stdout(&output).lines().collect();
    let steps: Vec<_> = lines
        .iter()
        .filter(|line| !line.starts_with(' '))
        .map(|line| format!("{} {}", line[..4].trim(), line[6..20].trim()))
        .collect();
    let failed = steps.iter().any(|step| step.starts_with("FAIL"));
    assert_eq!(output.status.code(), Some(i32::from(failed)));
    let remedy = lines
        .iter()
        .find_map(|line| line.trim().strip_prefix("remedy: "));
    assert!(remedy.is_some() || !failed, "{lines:?}");
    (steps, remedy.map(str::to_owned))
}

fn under(builder: Builder, fault: Option<Fault>) -> (Vec<String>, Option<String>) {
    let imds = Imds::start(builder);
    let _fault = fault.map(|fault| imds.fault(Rule::new("wrong", fault)).unwrap());
    doctor(&["--endpoint", imds.url()])
}

const WELL: [&str; 7] = [
    "ok settings",
    "ok connection",
    "ok session token",
    "ok metadata",
    "ok instance",
    "ok role",
    "ok credentials",
];

#[test]
fn all_is_well() {
    let (steps, _) = under(Emulator::builder(), None);
    assert_eq!(steps, WELL);
}

#[test]
fn no_secret_is_shown() {
    let imds = Imds::start(Emulator::builder());
    let report = run(&["doctor", "--endpoint", imds.url()]);
    let shown = run(&["get", "--endpoint", imds.url(), "--format", "json"]);
    let credentials: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(stdout(&report).contains(credentials["access-key-id"].as_str().unwrap()));
    for secret in ["secret-access-key", "session-token"] {
        assert!(
            !stdout(&report).contains(credentials[secret].as_str().unwrap()),
            "{secret}"
        );
    }
}

#[test]
fn no_password_of_a_url_is_shown() {
    let imds = Imds::start(Emulator::builder());
    let output = command(&["doctor", "--endpoint", imds.url()])
        .env(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "http://user:hunter2@127.0.0.1",
        )
        .output()
        .unwrap();
    let text = stdout(&output);
    assert!(
        text.contains("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://..@127.0.0.1"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn imds_is_switched_off() {
    let output = command(&["doctor", "--endpoint", &closed()])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    let text = stdout(&output);
    assert!(text.contains("AWS_EC2_METADATA_DISABLED=true"), "{text}");
    assert!(text.contains("FAIL  settings"), "{text}");
    assert!(
        text.contains("remedy: unset AWS_EC2_METADATA_DISABLED"),
        "{text}"
    );
    assert!(!text.contains("connection"), "{text}");
}

#[test]
fn a_setting_is_wrong() {
    let output = command(&["doctor", "--endpoint", &closed()])
        .env("AWS_METADATA_SERVICE_TIMEOUT", "soon")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains(
            "the environment variable AWS_METADATA_SERVICE_TIMEOUT is \"soon\"; accepted: a number"
        ),
        "{text}"
    );
}

#[test]
fn nothing_listens() {
    let (steps, remedy) = doctor(&["--endpoint", &closed()]);
    assert_eq!(steps, ["ok settings", "FAIL connection"]);
    assert!(
        remedy
            .unwrap()
            .contains("check that this runs on an EC2 instance")
    );
}

#[test]
fn tokens_do_not_come_through() {
    let (steps, remedy) = under(Emulator::builder(), Some(Fault::hop_limit()));
    assert_eq!(
        steps,
        ["ok settings", "ok connection", "FAIL session token"]
    );
    assert!(remedy.unwrap().contains("raise the hop limit"));
}

#[test]
fn somebody_listens_who_says_nothing() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let (steps, _) = doctor(&["--endpoint", &url]);
    assert_eq!(steps.last().unwrap(), "FAIL session token");
}

#[test]
fn the_endpoint_is_disabled() {
    let (steps, remedy) = under(Emulator::builder(), Some(Fault::endpoint_disabled()));
    assert_eq!(steps.last().unwrap(), "FAIL session token");
    assert!(remedy.unwrap().contains("HttpEndpoint"));
}

#[test]
fn there_is_no_role() {
    for (builder, fault) in [
        (Emulator::builder().without_role(), None),
        (Emulator::builder(), Some(Fault::role_empty())),
    ] {
        let (steps, remedy) = under(builder, fault);
        assert_eq!(steps.last().unwrap(), "FAIL role");
        assert!(remedy.unwrap().contains("attach an instance profile"));
    }
}

#[test]
fn the_role_cannot_be_assumed() {
    let fault = Fault::credentials_error();
    let (steps, remedy) = under(Emulator::builder(), Some(fault));
    assert_eq!(steps.last().unwrap(), "FAIL credentials");
    assert!(remedy.unwrap().contains("trust policy"));
}

#[test]
fn the_credentials_are_over() {
    let imds = Imds::start(Emulator::builder());
    imds.preset(Preset::ExpiredCredentials).unwrap();
    let (steps, remedy) = doctor(&["--endpoint", imds.url()]);
    // The component goes on with them, as long as there are no others.
    assert_eq!(steps[6..], ["ok credentials", "note refresh"]);
    assert!(remedy.unwrap().contains("check the clock"));
}

#[test]
fn requests_without_a_token_are_pointed_out() {
    let imds = Imds::start(Emulator::builder());
    imds.preset(Preset::Imdsv1Only).unwrap();
    let (steps, _) = doctor(&["--endpoint", imds.url(), "--imdsv1", "on-refusal"]);
    assert_eq!(steps[2], "note session token");
    assert_eq!(steps.last().unwrap(), "ok credentials");
}

/// A server that gives these answers, and what else is usual.
fn answering(
    answers: &'static [(&'static str, &'static str, &'static str, &'static str)],
) -> String {
    let answers: Answers = std::sync::Arc::new(|path| {
        let found = answers.iter().find(|(at, ..)| *at == path);
        found.map_or_else(
            || usual(path),
            |(_, status, headers, body)| response(status, headers, body),
        )
    });
    serve(answers)
}

#[test]
fn a_list_that_is_a_document_is_not_shown() {
    let url = serve(std::sync::Arc::new(|path| match path {
        LIST => ok(&document().to_string()),
        path => usual(path),
    }));
    let (steps, remedy) = doctor(&["--endpoint", &url]);
    assert_eq!(steps.last().unwrap(), "FAIL role");
    assert!(
        remedy
            .unwrap()
            .contains("a proxy may return something else")
    );
    let output = run(&["doctor", "--endpoint", &url]);
    assert!(
        stdout(&output).contains("the role list does not start with a valid role name"),
        "{}",
        stdout(&output)
    );
    // The list of roles is not needed if the role is configured.
    let (steps, _) = doctor(&["--endpoint", &url, "--role-name", "role"]);
    assert_eq!(steps[5..], ["note role", "ok credentials"]);
}

#[test]
fn a_list_that_is_a_secret_access_key_is_not_shown() {
    let url = serve(std::sync::Arc::new(|path| match path {
        LIST => ok(SECRET),
        path => usual(path),
    }));
    let (steps, _) = doctor(&["--endpoint", &url]);
    assert_eq!(steps.last().unwrap(), "FAIL role");
    for command in ["doctor", "get"] {
        let output = run(&[command, "--endpoint", &url]);
        let shown = format!("{}{}", stdout(&output), stderr(&output));
        let reason = "the role list starts with what looks like a secret access key or a token";
        assert!(shown.contains(reason), "{shown}");
        assert!(!shown.contains(&SECRET[..10]), "{shown}");
    }
}

#[test]
fn a_role_may_be_listed_by_its_arn() {
    const ARN: &str = "arn:aws:iam::123456789012:role/app";
    let url = serve(std::sync::Arc::new(|path| match path {
        LIST => ok(ARN),
        path if path == format!("{LIST}{ARN}") => ok(&document().to_string()),
        DOCUMENT => response("404 Not Found", "", ""),
        path => usual(path),
    }));
    let (steps, _) = doctor(&["--endpoint", &url]);
    assert_eq!(steps, WELL);
    let output = run(&["doctor", "--endpoint", &url]);
    assert!(stdout(&output).contains(ARN), "{}", stdout(&output));
    for role in [&[][..], &["--role-name", ARN]] {
        let output = run(&[&["get", "--endpoint", &url], role].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

/// The name has the length of a secret access key.
#[test]
fn a_long_name_of_words_is_a_role() {
    const WORDY: &str = "ProdUsEast1ClusterNodeRole20230405123456";
    let url = serve(std::sync::Arc::new(|path| match path {
        LIST => ok(WORDY),
        path if path == format!("{LIST}{WORDY}") => ok(&document().to_string()),
        path => usual(path),
    }));
    let (steps, _) = doctor(&["--endpoint", &url]);
    assert_eq!(steps, WELL);
    let output = run(&["doctor", "--endpoint", &url]);
    assert!(stdout(&output).contains(WORDY), "{}", stdout(&output));
}

#[test]
fn a_listed_role_without_credentials_has_a_remedy_of_its_own() {
    for role in [
        "ProdUsEast1ClusterNodeRole20230405123456",
        "arn:aws:iam::123456789012:role/app",
        "team-a/app",
    ] {
        let url = serve(std::sync::Arc::new(move |path| match path {
            LIST => ok(role),
            path if path == format!("{LIST}{role}") => response("404 Not Found", "", ""),
            path => usual(path),
        }));
        let (steps, remedy) = doctor(&["--endpoint", &url]);
        assert_eq!(steps[4..], ["ok instance", "ok role", "FAIL credentials"]);
        let remedy = remedy.unwrap();
        for part in ["lists the role's ARN", "--role-name"] {
            assert!(remedy.contains(part), "{remedy}");
        }
        let output = run(&["doctor", "--endpoint", &url]);
        for part in [role, "IMDS has no credentials for the role"] {
            assert!(stdout(&output).contains(part), "{}", stdout(&output));
        }
        let get = run(&["get", "--endpoint", &url]);
        assert!(stderr(&get).contains(&remedy), "{}", stderr(&get));
    }
}

#[test]
fn a_server_without_tokens_is_told_from_a_disabled_endpoint() {
    for (answers, also) in [
        (&[(API_TOKEN, "403 Forbidden", "", "")], "HttpEndpoint"),
        (
            &[(API_TOKEN, "404 Not Found", "", "")],
            "issues no session tokens",
        ),
        (
            &[(API_TOKEN, "405 Not Allowed", "", "")],
            "issues no session tokens",
        ),
    ] {
        let url = answering(answers);
        let (steps, remedy) = doctor(&["--endpoint", &url]);
        assert_eq!(steps.last().unwrap(), "FAIL session token");
        let remedy = remedy.unwrap();
        for part in [
            also,
            "--imdsv1 on-refusal",
            "AWS_EC2_METADATA_V1_DISABLED=false",
        ] {
            assert!(remedy.contains(part), "{remedy}");
        }
        let get = run(&["get", "--endpoint", &url]);
        assert!(stderr(&get).contains(&remedy), "{}", stderr(&get));
        let (steps, _) = doctor(&["--endpoint", &url, "--imdsv1", "on-refusal"]);
        assert_eq!(steps[2], "note session token");
        assert_eq!(steps.last().unwrap(), "ok credentials");
    }
}

#[test]
fn other_clouds_are_recognised() {
    for (answers, cloud) in [
        (
            &[(
                API_TOKEN,
                "400 Bad Request",
                "Server: Microsoft-IIS/10.0\r\n",
                "",
            )],
            "Azure",
        ),
        (
            &[(
                API_TOKEN,
                "400 Bad Request",
                "Server: IMDS/150.870.65.1854\r\n",
                "",
            )],
            "Azure",
        ),
        (
            &[(
                API_TOKEN,
                "403 Forbidden",
                "Metadata-Flavor: Google\r\n",
                "",
            )],
            "Google Cloud",
        ),
    ] {
        let url = answering(answers);
        let (steps, remedy) = doctor(&["--endpoint", &url]);
        assert_eq!(steps.last().unwrap(), "FAIL session token");
        let remedy = remedy.unwrap();
        assert!(
            remedy.contains(&format!("a machine of {cloud}")),
            "{remedy}"
        );
        let report = run(&["doctor", "--endpoint", &url]);
        let named = format!("of {cloud} responds, not that of EC2");
        assert!(stdout(&report).contains(&named), "{}", stdout(&report));
        let get = run(&["get", "--endpoint", &url]);
        assert!(stderr(&get).contains(&remedy), "{}", stderr(&get));
    }
}

#[test]
fn without_an_identity_document_the_region_is_named() {
    let url = answering(&[(
        "/latest/dynamic/instance-identity/document",
        "404 Not Found",
        "",
        "",
    )]);
    let (steps, _) = doctor(&["--endpoint", &url]);
    assert_eq!(
        steps[4..],
        ["note instance", "ok region", "ok role", "ok credentials"]
    );
    let output = run(&["doctor", "--endpoint", &url]);
    assert!(stdout(&output).contains("eu-central-1"));
}
