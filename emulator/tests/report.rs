//! Reports of what clients did.

#![expect(clippy::unwrap_used, reason = "a test")]
#![allow(
    dead_code,
    reason = "the bench is shared with the tests of the protocol"
)]

#[path = "protocol/bench.rs"]
mod bench;

use bench::{Bench, LIST};
use imds_emulator::config::HttpTokens;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::{Assertion, Filter};
use imds_emulator::report::{Format, Recorder, Usage};
use serde_json::Value;

/// What two clients did: `one` with a token, `two` without.
async fn two_clients(bench: &Bench) {
    let agent = |agent: &str| format!("User-Agent: {agent}/1 (some text)");
    let put = "PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 21600";
    let token = bench.ask(&format!("{put}\n{}", agent("one"))).await.body;
    bench.pass(2);
    let get = format!("GET {LIST} HTTP/1.1");
    let with_token = format!("X-aws-ec2-metadata-token: {token}\n{}", agent("one"));
    bench.ask(&format!("{get}\n{with_token}")).await;
    bench.ask(&format!("{get}\n{}", agent("two"))).await;
    bench
        .imds
        .change(|config| config.metadata_options.http_tokens = HttpTokens::Optional)
        .unwrap();
    bench.ask(&format!("{get}\n{}", agent("two"))).await;
    bench
        .ask(&format!(
            "GET /metadata/instance HTTP/1.1\n{}",
            agent("one")
        ))
        .await;
    bench
        .ask(&format!("GET /latest/none HTTP/1.1\n{}", agent("two")))
        .await;
}

#[tokio::test]
async fn requests_are_counted_for_each_client_under_the_names_of_cloudwatch() {
    let bench = Bench::new().await;
    two_clients(&bench).await;
    // It is no path of IMDS, but neither one of another cloud's service.
    bench
        .ask("GET /metadata-of-mine HTTP/1.1\nUser-Agent: two/1 (some text)")
        .await;
    let usage = Usage::of(&bench.imds.find(&Filter::default()).unwrap(), None);
    let [one, two] = usage.clients.as_slice() else {
        panic!("two clients: {usage:?}")
    };
    assert_eq!((one.name(), two.name()), ("one/1".into(), "two/1".into()));
    assert_eq!((one.requests, two.requests, usage.requests()), (3, 4, 7));
    assert_eq!((one.token_requests, two.token_requests), (1, 0));
    assert_eq!(one.token_lifetimes, [21_600].into());
    // It looked for another cloud's service, which needs no token.
    assert_eq!(one.for_other_services, 1);
    assert_eq!((one.with_token, one.without_token), (1, 0));
    assert_eq!((two.with_token, two.without_token), (0, 4));
    let metrics = serde_json::to_value(two).unwrap();
    assert_eq!(metrics["MetadataNoToken"], 1);
    assert_eq!(metrics["MetadataNoTokenRejected"], 1);
    assert_eq!(two.for_other_services, 0);
    assert_eq!(
        two.paths_without_token,
        [LIST, "/latest/none", "/metadata-of-mine"]
    );
    assert_eq!((one.failed, two.failed), (1, 3));
    assert_eq!((one.connections, two.connections), (3, 4));
    let first = one.first_metadata_ms.unwrap();
    assert!((2_000.0..3_000.0).contains(&first), "{first}");
    assert!(!usage.is_ready_for_imdsv2_only());
}

#[tokio::test]
async fn a_report_has_what_happened_besides_requests() {
    let bench = Bench::new().await;
    let recorder = Recorder::new(bench.imds.control());
    let outage = bench
        .imds
        .fault(Rule::new("outage", Fault::status(503)).on("/latest/user-data"))
        .unwrap();
    two_clients(&bench).await;
    // The recorder sees the fault while it is in force.
    settle().await;
    drop(outage);
    settle().await;
    bench.pass(7 * 3600);
    settle().await;
    bench.read(&format!("{LIST}the-role")).await;
    let report = recorder
        .finish(
            "program",
            &[Assertion::NoImdsv1, Assertion::MaxTokenPuts(2)],
        )
        .unwrap();
    let json: Value = serde_json::from_str(&report.render(Format::Json)).unwrap();
    let trace = &json["trace"];
    assert_eq!(trace["faults"][0]["name"], "outage");
    assert_eq!(trace["faults"][0]["from"], 0);
    assert_eq!(trace["faults"][0]["to"], 2_000);
    let marks = &trace["marks"];
    assert_eq!(marks[0]["name"], "clock forward 2 s");
    assert_eq!(marks[1]["name"], "clock forward 7 h");
    let keys = trace["credentials"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert_ne!(keys[0]["name"], keys[1]["name"]);
    assert_eq!(trace["requests"].as_array().unwrap().len(), 8);
    assert_eq!(json["verified"]["holds"], false);
    assert_eq!(json["verified"]["verdicts"][1]["holds"], true);

    let text = report.render(Format::Text);
    for line in [
        "IMDS: 8 requests by 3 clients",
        "  without a token  MetadataNoToken 1, MetadataNoTokenRejected 1",
        "IMDSv2 only: not ready. two/1 sent requests without a token.",
        "FAILS  every request has a token, or requests one: 4 of 8 requests had no token",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    let page = report.render(Format::Html);
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("data-lane=\"two/1\""));
    let keys = bench.imds.role_keys().unwrap();
    for secret in [keys.secret_access_key, keys.session_token] {
        for output in [&text, &page, &json.to_string()] {
            assert!(!output.contains(&secret));
        }
    }
}

#[tokio::test]
async fn no_request_is_no_reason_to_call_a_program_ready() {
    let bench = Bench::new().await;
    let recorder = Recorder::new(bench.imds.control());
    let report = recorder.finish("true", &[]).unwrap();
    let text = report.render(Format::Text);
    assert!(
        text.starts_with("IMDS: no request in ") && text.lines().count() == 1,
        "{text}"
    );
    assert!(report.verified.is_none());
}

/// Waits until the recorder has looked.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
}
