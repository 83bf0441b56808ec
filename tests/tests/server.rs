//! The server checks: the emulator passes all of them, and a server that violates a rule fails its check.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "server/broken.rs"]
mod broken;
#[path = "server/odd.rs"]
mod odd;

use std::collections::BTreeSet;
use std::process::{Command, Output};

use imds_conformance::loopback::{self, Scripted, Silent};
use imds_conformance::report::{Format, Report};
use imds_conformance::run;
use imds_conformance::server::{Check, Endpoint, Server, Verdict, checks, examine};
use imds_emulator::Emulator;
use imds_emulator::config::Config;
use imds_emulator::imds::Certificate;

use broken::BROKEN;
use odd::ODD;

async fn emulator(toml: &str) -> Emulator {
    let mut config = Config::from_toml(&format!("{toml}\n")).unwrap();
    config.server.port = 0;
    let emulator = Emulator::builder().with(|into| *into = config);
    let emulator = emulator.start().await.unwrap();
    // Keys are generated when they are first needed. On a busy machine, a check would time out.
    let control = emulator.control().clone();
    let warm = move || {
        for certificate in [Certificate::Rsa, Certificate::Dsa] {
            control.certificate(certificate).unwrap();
        }
    };
    tokio::task::spawn_blocking(warm).await.unwrap();
    emulator
}

async fn report(emulator: &Emulator) -> Report {
    let endpoint = Endpoint::find(emulator.url(), false).await.unwrap();
    let server = Server::reach(&endpoint).await.unwrap();
    examine("emulator", &server, &checks(), |_| {}).await
}

fn of(report: &Report, wanted: impl Fn(&run::Verdict) -> bool) -> BTreeSet<&str> {
    let outcomes = report.outcomes.iter();
    let outcomes = outcomes.filter(|outcome| wanted(&outcome.verdict));
    outcomes.map(|outcome| outcome.scenario.as_str()).collect()
}

fn failed(report: &Report) -> BTreeSet<&str> {
    of(report, |verdict| *verdict == run::Verdict::Failed)
}

#[test]
fn checks_have_unique_names_and_sources() {
    let checks = checks();
    assert!(checks.len() >= 45);
    let names: BTreeSet<&str> = checks.iter().map(|check| check.name).collect();
    assert_eq!(names.len(), checks.len());
    let former: BTreeSet<&str> = checks
        .iter()
        .flat_map(|check| check.formerly)
        .copied()
        .collect();
    assert!(!former.is_empty() && former.is_disjoint(&names));
    let all: usize = checks.iter().map(|check| check.formerly.len()).sum();
    assert_eq!(former.len(), all);
    for check in &checks {
        assert!(check.name.split('/').count() == 2, "{}", check.name);
        assert!(!check.sentence.ends_with('.'), "{}", check.name);
        assert!(!check.rests_on.is_empty(), "{}", check.name);
    }
}

/// Configurations that together cover every check, and that have shapes which servers got wrong.
const WHOLE: [(&str, &str); 8] = [
    ("as it is", ""),
    (
        "tokens are optional",
        "metadata-options.HttpTokens = 'optional'",
    ),
    (
        "xen",
        "server.dialect = 'xen'
        metadata-options.InstanceMetadataTags = 'disabled'
        instance.user-data = 'hello'",
    ),
    (
        "xen, tokens are optional",
        "server.dialect = 'xen'
        metadata-options.HttpTokens = 'optional'",
    ),
    (
        "no role, no tags",
        "metadata-options.InstanceMetadataTags = 'disabled'
        instance.iam = false",
    ),
    (
        "in a Wavelength Zone, with an interface for an Elastic Fabric Adapter",
        "instance.placement.availability-zone = 'us-west-2-wl1-las-wlz-1'
        [[instance.network-interfaces]]
        mac = '0e:49:61:0f:c3:11'
        interface-id = 'eni-0123456789abcdef0'
        private-ipv4s = ['10.0.0.5']
        [[instance.network-interfaces]]
        mac = '0e:49:61:0f:c3:12'
        interface-id = 'eni-0123456789abcdef1'
        network-card-index = 1",
    ),
    (
        "in another partition, without IPv4",
        "instance.placement.availability-zone = 'us-isof-south-1a'
        [[instance.network-interfaces]]
        mac = '0e:49:61:0f:c3:11'
        interface-id = 'eni-0123456789abcdef0'
        ipv6s = ['2001:db8::5']",
    ),
    (
        "everything",
        "
        [instance]
        user-data = { base64 = 'H4sIAAAA//8=' }
        life-cycle = 'spot'
        detailed-monitoring = true
        auto-scaling = 'InService'
        hibernation = false
        tags = { Name = 'all of it', 'team:owner' = 'us' }
        public-keys = [{ name = 'mine', openssh-key = 'ssh-ed25519 AAAAC3Nza' }]
        iam = { role = 'worker', extended-path = true }
        placement.outpost-arn = 'arn:aws:outposts:us-east-1:123456789012:outpost/op-0123456789abcdef0'
        [[instance.network-interfaces]]
        mac = '0e:49:61:0f:c3:11'
        interface-id = 'eni-0123456789abcdef0'
        private-ipv4s = ['10.0.0.5']
        public-ipv4s = { '203.0.113.5' = '10.0.0.5' }
        ipv6s = ['2001:db8::5']
        ipv4-prefixes = ['10.0.0.16/28']
        ipv6-prefixes = ['2001:db8:0:0:1::/80']
        [events]
        spot-interruption = { action = 'terminate' }
        rebalance-recommendation = {}
        maintenance = [{ code = 'system-reboot' }, { code = 'instance-stop', state = 'completed' }]",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_passes_all_checks() {
    let reports = WHOLE.map(|(name, toml)| async move {
        let emulator = emulator(toml).await;
        (name, report(&emulator).await)
    });
    let reports = futures_util::future::join_all(reports).await;
    let mut tried = BTreeSet::new();
    for (name, report) in &reports {
        assert!(failed(report).is_empty(), "{name}: {}", told(report));
        tried.extend(of(report, |verdict| *verdict == run::Verdict::Passed));
    }
    let all: BTreeSet<&str> = checks().iter().map(|check| check.name).collect();
    assert_eq!(tried, all, "each check applies to one of them");
}

fn told(report: &Report) -> String {
    imds_conformance::server::text(report, "emulator")
}

/// The number of emulators, each of which gets several faults in turn: generating its keys takes longest.
const EMULATORS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_fails_its_checks_and_no_others() {
    let share = BROKEN.len().div_ceil(EMULATORS);
    let wrong = BROKEN.chunks(share).map(|rows| tokio::spawn(wrong(rows)));
    let wrong = futures_util::future::try_join_all(wrong).await.unwrap();
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn wrong(rows: &[(&str, &[&str])]) -> Vec<String> {
    let emulator = emulator("").await;
    let mut wrong = Vec::new();
    for (fault, expected) in rows {
        let fault = format!("[[faults]]\nname = 'broken'\n{fault}");
        let rule = Config::from_toml(&fault).unwrap().faults.remove(0);
        let _broken = emulator.fault(rule).unwrap();
        let report = report(&emulator).await;
        let failed = failed(&report);
        if failed != BTreeSet::from_iter(expected.iter().copied()) {
            wrong.push(format!("{fault}\n  not {expected:?}\n  but {failed:?}"));
        }
        let keys = emulator.role_keys().unwrap();
        for format in [Format::Json, Format::Tap, Format::Junit] {
            let text = report.render(format);
            // The last one is how the tokens of the faults begin.
            for secret in [&*keys.secret_access_key, &*keys.session_token, "AQAE-"] {
                assert!(!text.contains(secret), "{fault}");
            }
            let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
            // A check names the beginning, which is no secret.
            assert!(
                !words.any(|word| word.starts_with("AQA") && word.len() > 5),
                "{fault}"
            );
        }
    }
    wrong
}

/// Only these checks: with all others, this would take long.
#[tokio::test]
async fn a_server_that_is_slow_or_limits_connections_fails() {
    for (name, faults) in [
        (
            "response/latency",
            "faults = [{ name = 'slow', fault = { type = 'latency', latency = '550ms' } }]",
        ),
        (
            "response/concurrent-clients",
            "faults = [
                { name = 'slow', fault = { type = 'latency', latency = '100ms' } },
                { name = 'few', fault = { type = 'connection_limit', max = 8, effect = 'reset' } },
            ]",
        ),
    ] {
        let emulator = emulator(faults).await;
        let endpoint = Endpoint::find(emulator.url(), false).await.unwrap();
        let server = Server::reach(&endpoint).await.unwrap();
        let verdict = named(name).ask(&server).await;
        assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
    }
}

fn named(name: &str) -> Check {
    checks()
        .into_iter()
        .find(|check| check.name == name)
        .unwrap()
}

/// `STATUS|HEADER|BODY`, or raw bytes if there are no bars.
fn response(text: &str) -> Vec<u8> {
    let parts: Vec<&str> = text.splitn(3, '|').collect();
    let [status, header, body] = parts[..] else {
        return text.into();
    };
    let header = match header {
        "" => String::new(),
        header => format!("{header}\r\n"),
    };
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\n\r\n{body}").into()
}

async fn verdict(name: &str, responses: impl IntoIterator<Item = Vec<u8>>) -> Verdict {
    // The response to the first request, which finds out whether the server is there.
    let first = [response("401 Unauthorized||")];
    let peer = Scripted::start(first.into_iter().chain(responses))
        .await
        .unwrap();
    let endpoint = Endpoint::find(&peer.url(), false).await.unwrap();
    let server = Server::reach(&endpoint).await.unwrap();
    named(name).ask(&server).await
}

#[tokio::test]
async fn odd_responses_are_reported_without_their_secrets() {
    for (name, responses, expected) in ODD {
        let verdict = verdict(name, responses.iter().copied().map(response)).await;
        let Verdict::Failed { seen, .. } = &verdict else {
            panic!("{name}: {verdict:?}");
        };
        assert!(seen.contains(expected), "{name}: {seen}");
        assert!(!format!("{verdict:?}").contains("AQAE0123456789"));
    }
}

#[tokio::test]
async fn a_chunked_response_is_accepted() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ni-\r\n1\r\n0\r\n0\r\n\r\n";
    let none = || response("404 Not Found||");
    let verdict = verdict("path/value", [none(), none(), chunked.into()]).await;
    assert_eq!(verdict, Verdict::Passed);
}

#[tokio::test]
async fn an_interim_response_is_skipped() {
    let token = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nAQAE0123";
    let interim = format!("HTTP/1.1 100 Continue\r\n\r\n{token}");
    let verdict = verdict("token/expect-continue", [token.into(), interim.into()]).await;
    assert_eq!(verdict, Verdict::Passed);
}

#[tokio::test]
async fn user_data_that_is_too_long_is_reported_by_its_length() {
    let long = response(&format!("200 OK||{}", "x".repeat(16_385)));
    let verdict = verdict(
        "user-data/size",
        [
            response("404 Not Found||"),
            response("404 Not Found||"),
            long,
        ],
    )
    .await;
    let expected = "at most 16384 bytes".into();
    let seen = "16385".into();
    assert_eq!(verdict, Verdict::Failed { expected, seen });
}

async fn command(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imds-conformance"));
    command.arg("server").args(arguments);
    command.env_remove("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    // In another thread, so that the emulator keeps running.
    let ended = tokio::task::spawn_blocking(move || command.output());
    ended.await.unwrap().unwrap()
}

fn standard_error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn no_connection_is_made_to_other_machines() {
    let silent = Silent::start().await.unwrap();
    // These are not loopback addresses, but a connection to them would reach the peer.
    for host in ["0.0.0.0", "[::ffff:127.0.0.1]"] {
        let url = silent.url().replace("127.0.0.1", host);
        let output = command(&["--endpoint", &url]).await;
        assert_eq!(output.status.code(), Some(2), "{host}");
        assert!(standard_error(&output).contains("--i-own-this-endpoint"));
    }
    assert_eq!(silent.connections(), 0);
    for url in ["https://127.0.0.1", "http://127.0.0.1/path", "nonsense"] {
        let output = command(&["--endpoint", url]).await;
        assert_eq!(output.status.code(), Some(2), "{url}");
        assert!(
            standard_error(&output).contains("http://HOST:PORT"),
            "{url}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_reports_failures_and_regressions() {
    let emulator = emulator("").await;
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before.json");
    let json = format!("json={}", before.display());
    let url = emulator.url();
    let asked = ["path/", "--endpoint", url, "--name", "it"];
    let good = command(&[&asked[..], &["--report", &json]].concat()).await;
    assert_eq!(good.status.code(), Some(0), "{}", standard_error(&good));

    let broken = "[[faults]]
        name = 'broken'
        match = { method = 'HEAD' }
        fault = { type = 'status', code = 405 }";
    let rule = Config::from_toml(broken).unwrap().faults.remove(0);
    let _broken = emulator.fault(rule).unwrap();
    let should = command(&asked).await;
    assert_eq!(
        should.status.code(),
        Some(0),
        "a failed `should` is not a failure"
    );
    let text = String::from_utf8(should.stdout).unwrap();
    assert!(
        text.contains("it: 15 passed, 1 failed, 0 not applicable"),
        "{text}"
    );
    assert!(text.contains("path/head, rests on I7"), "{text}");
    let strict = command(&[&asked[..], &["--strict", "--report", "tap"]].concat()).await;
    assert_eq!(strict.status.code(), Some(1));
    let text = String::from_utf8(strict.stdout).unwrap();
    assert!(text.contains("not ok 14 - it: path/head"), "{text}");
    let worse = ["--baseline", before.to_str().unwrap(), "--report", "junit"];
    let worse = command(&[&asked[..], &worse].concat()).await;
    assert_eq!(worse.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&worse.stdout).contains("<failure"));

    let nothing = command(&["no such check", "--endpoint", url]).await;
    assert_eq!(nothing.status.code(), Some(2));
    let closed = loopback::closed().unwrap();
    let nobody = command(&["--endpoint", &closed]).await;
    assert_eq!(nobody.status.code(), Some(2));
    assert!(standard_error(&nobody).contains("cannot reach the server"));
    let owned = url.replace("127.0.0.1", "0.0.0.0");
    let owned = command(&["path/value", "--endpoint", &owned, "--i-own-this-endpoint"]).await;
    assert_eq!(owned.status.code(), Some(0));
    let former = command(&["--list", "token/none-none-left"]).await;
    let former = String::from_utf8(former.stdout).unwrap();
    assert!(former.contains("token/no-remaining-ttl"), "{former}");
    let list = command(&["--list"]).await;
    let listed = String::from_utf8(list.stdout).unwrap();
    assert!(listed.contains(&format!("{} checks", checks().len())));
}
