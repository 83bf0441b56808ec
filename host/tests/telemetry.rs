//! What is logged and counted, and that no secret is in it. One test, for recorders are global.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use ec2_role_host::transport::{Exchange, Timeouts, Transport};
use ec2_role_host::{Ec2RoleProvider, Environment};
use imds_emulator::Emulator;
use imds_emulator::fault::{Fault, Rule};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that was logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Takes down the session tokens that are sent, on the way to nowhere.
#[derive(Debug, Default)]
struct Tokens(Arc<Mutex<Vec<String>>>);

impl Transport for Tokens {
    fn send(&self, request: http::Request<bytes::Bytes>, _: Timeouts) -> Exchange {
        let body = match request.uri().path() {
            "/latest/api/token" => "the-session-token-of-imds",
            _ => "",
        };
        if let Some(token) = request.headers().get("x-aws-ec2-metadata-token") {
            self.0
                .lock()
                .unwrap()
                .push(token.to_str().unwrap().to_owned());
        }
        Box::pin(async move { Ok(http::Response::new(body.into())) })
    }
}

#[test]
fn names_are_as_documented_and_no_secret_is_logged() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let imds = runtime
        .block_on(Emulator::builder().role("r").start())
        .unwrap();
    let build = || {
        Ec2RoleProvider::builder()
            .environment(Environment::empty())
            .attempts(1)
    };
    let provider = build().endpoint(imds.url()).build_blocking().unwrap();
    let log = Log::default();
    // From here on, for a compiler at `trace` has very much to say. Events of other libraries too, through `tracing` and through `log`.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .init();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();

    let credentials = provider.credentials_blocking().unwrap();
    ec2_role_host::wait(provider.metadata().identity_document()).unwrap();
    let broken = imds
        .fault(Rule::new("broken", Fault::empty_response()))
        .unwrap();
    ec2_role_host::wait(provider.reject(credentials.access_key_id())).unwrap();
    provider.credentials_blocking().unwrap();
    ec2_role_host::wait(provider.invalidate()).unwrap();
    provider.credentials_blocking().unwrap_err();
    broken.heal();
    let after = loop {
        // An error is given again for a second.
        match provider.credentials_blocking() {
            Ok(credentials) => break credentials,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    let denied = build()
        .endpoint(imds.url())
        .egress("http://127.0.0.1:9".parse().unwrap())
        .build_blocking()
        .unwrap();
    assert!(denied.credentials_blocking().unwrap_err().is_denied());

    let tokens = Arc::default();
    let provider = build()
        .endpoint("http://127.0.0.1:9")
        .transport(Tokens(Arc::clone(&tokens)))
        .build_blocking()
        .unwrap();
    provider.credentials_blocking().unwrap_err();
    assert_eq!(*tokens.lock().unwrap(), ["the-session-token-of-imds"]);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for message in [
        "credentials refreshed",
        "refresh failed, credentials extended",
        "refreshes are failing",
        "refreshes recovered",
        "request denied by the sandbox",
        "request method=GET path=\"/latest/meta-data/iam/security-credentials/r\" status=\"200\"",
    ] {
        assert!(log.contains(message), "{message:?} is not in {log}");
    }
    for credentials in [&credentials, &after] {
        assert!(log.contains(credentials.access_key_id()));
        for secret in [
            credentials.secret_access_key(),
            credentials.session_token().unwrap(),
            "the-session-token-of-imds",
        ] {
            // In part is as bad as in whole.
            let part = secret.get(..16).unwrap();
            assert!(!log.contains(part), "{part:?} was logged");
        }
    }

    let mut seen = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<String> = key
            .key()
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let value = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Gauge(_) => 1,
            DebugValue::Histogram(values) => values.len() as u64,
        };
        seen.insert(format!("{} {}", key.key().name(), labels.join(" ")), value);
    }
    let names = seen.keys().cloned().collect::<Vec<_>>().join("\n");
    for (name, at_least) in [
        ("ec2_role_refreshes_total outcome=refreshed", 2),
        ("ec2_role_refreshes_total outcome=extended", 1),
        ("ec2_role_refreshes_total outcome=failed", 1),
        ("ec2_role_refresh_seconds outcome=refreshed", 2),
        ("ec2_role_requests_total method=PUT status=200", 2),
        ("ec2_role_requests_total method=GET status=none", 1),
        ("ec2_role_request_seconds method=GET", 4),
        ("ec2_role_denied_requests_total refusal=authority", 1),
        ("ec2_role_credentials_expiry_timestamp_seconds ", 1),
    ] {
        assert!(
            seen.get(name).is_some_and(|seen| *seen >= at_least),
            "{name} in {names}"
        );
    }
    let documented = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telemetry.rs"),
    )
    .unwrap();
    for key in seen.keys() {
        let (name, _) = key.split_once(' ').unwrap();
        assert!(documented.contains(&format!("//! | `{name}` |")), "{name}");
    }
}
