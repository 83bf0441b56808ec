//! The journal, and assertions about it.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]
#![allow(
    dead_code,
    reason = "the bench is shared with the tests of the protocol"
)]

#[path = "protocol/bench.rs"]
mod bench;

use std::sync::Arc;
use std::time::Duration;

use bench::{Bench, LIST, request};
use imds_emulator::config::{HttpTokens, Span};
use imds_emulator::fault::{Fault, ImdsVersion, ResetAfter, Rule, TokenState};
use imds_emulator::journal::{
    Assertion, BacksOff, Exchange, Filter, MaxRequests, MinRequests, Outcome, Requests, UserAgent,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

impl Bench {
    fn all(&self) -> Vec<Arc<Exchange>> {
        self.imds.find(&Filter::default()).unwrap().exchanges
    }

    /// Whether an assertion holds, and why.
    fn holds(&self, assertion: Assertion) -> (bool, String) {
        let report = self.imds.verify(&[assertion]).unwrap();
        let verdict = &report.verdicts[0];
        assert_eq!(report.holds, verdict.holds);
        assert_eq!(verdict.holds, verdict.exchanges.is_empty(), "{report}");
        (verdict.holds, verdict.why.clone())
    }
}

#[tokio::test]
async fn an_exchange_says_who_asked_what_and_what_became_of_it() {
    let bench = Bench::new().await;
    let _guard = bench
        .imds
        .fault(Rule::new("slow", Fault::latency(Duration::from_millis(30))))
        .unwrap();
    let token = bench.token("60").await.body;
    bench.pass(5);
    let head = format!(
        "GET {LIST}?x=secret HTTP/1.1\nX-aws-ec2-metadata-token: {token}\nUser-Agent: me/1\nX-Forwarded-For: 10.0.0.1"
    );
    bench.ask(&head).await;
    let all = bench.all();
    let [put, get] = all.as_slice() else {
        panic!("two exchanges")
    };
    assert_eq!((put.number, get.number), (1, 2));
    assert_eq!((put.connection, get.connection), (Some(1), Some(2)));
    assert_eq!((put.lifetime, get.lifetime), (Some(60), None));
    assert_eq!(get.at, bench.clock.now());
    assert_eq!((get.at - put.at).num_seconds(), 5);
    assert_eq!(get.client.to_string(), "127.0.0.1");
    assert_eq!(
        (put.method.as_str(), put.path.as_str()),
        ("PUT", "/latest/api/token")
    );
    assert_eq!((get.method.as_str(), get.path.as_str()), ("GET", LIST));
    assert_eq!((put.imds, put.token), (ImdsVersion::V2, TokenState::None));
    assert_eq!((get.imds, get.token), (ImdsVersion::V2, TokenState::Valid));
    assert_eq!(get.user_agent.as_deref(), Some("me/1"));
    assert!(get.forwarded && !put.forwarded);
    assert_eq!(get.rules, ["slow".into()]);
    assert_eq!((get.outcome, get.status), (Outcome::Answered, Some(200)));
    assert_eq!(get.bytes, "the-role".len());
    assert!(get.duration_ms >= 30.0, "{}", get.duration_ms);
    assert!(get.uptime_ms >= put.uptime_ms + 25);
    let text = format!("{all:?}{}{}", serde_json::to_string(&all).unwrap(), all[1]);
    for secret in [token.as_str(), "secret"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("127.0.0.1 GET /latest/meta-data/iam/security-credentials/ 200"));
}

#[tokio::test]
async fn requests_on_one_connection_have_its_number() {
    let bench = Bench::with(|config| config.server.keep_alive = true).await;
    for requests in [1, 3] {
        let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
        for _ in 0..requests {
            let get = request("GET / HTTP/1.1");
            stream.write_all(get.as_bytes()).await.unwrap();
        }
        let mut responses = [0; 4096];
        let mut heads = 0;
        while heads < requests {
            let count = stream.read(&mut responses).await.unwrap();
            let text = String::from_utf8_lossy(&responses[..count]);
            heads += text.matches("HTTP/1.1").count();
        }
    }
    let connections: Vec<_> = bench
        .all()
        .iter()
        .map(|exchange| exchange.connection)
        .collect();
    assert_eq!(connections, [1, 2, 2, 2].map(Some));
}

#[tokio::test]
async fn a_lifetime_is_what_a_request_for_a_token_asks_for() {
    let bench = Bench::new().await;
    for (ttl, lifetime) in [
        ("21600", Some(21_600)),
        // IMDS rejects these.
        ("0", Some(0)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", None),
        ("-1", None),
        ("a minute", None),
    ] {
        bench.token(ttl).await;
        assert_eq!(bench.all().last().unwrap().lifetime, lifetime, "{ttl}");
    }
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60";
    for no_wish_for_one in ["GET /latest/api/token", "PUT /latest/user-data"] {
        let head = format!("{no_wish_for_one} HTTP/1.1\n{ttl}");
        bench.ask(&head).await;
        assert_eq!(bench.all().last().unwrap().lifetime, None, "{head}");
    }
}

#[tokio::test]
async fn every_outcome_is_told() {
    let bench = Bench::new().await;
    let outcome = async |fault| {
        bench.imds.clear_journal();
        let _guard = bench.imds.fault(Rule::new("fault", fault)).unwrap();
        let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
        let _ = stream.write_all(request("GET / HTTP/1.1").as_bytes()).await;
        for _ in 0..500 {
            if let [exchange] = bench.all().as_slice() {
                return (exchange.outcome, exchange.status, exchange.method.clone());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nothing in the journal");
    };
    let get = || "GET".to_owned();
    assert_eq!(
        outcome(Fault::token_flap()).await,
        (Outcome::Answered, Some(401), get())
    );
    assert_eq!(
        outcome(Fault::blackhole()).await,
        (Outcome::NoResponse, None, get())
    );
    assert_eq!(
        outcome(Fault::empty_response()).await,
        (Outcome::Spoiled, None, get())
    );
    assert_eq!(
        outcome(Fault::stall(0)).await,
        (Outcome::NoResponse, Some(401), get())
    );
    for (after, method) in [(ResetAfter::Request, "GET"), (ResetAfter::Accept, "")] {
        let (end, status, asked) = outcome(Fault::reset_peer(after)).await;
        assert_eq!(
            (end, status, asked.as_str()),
            (Outcome::Reset, None, method)
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_in_the_journal() {
    let bench = Bench::new().await;
    let latency = Fault::latency(Span::minutes(1));
    let _guard = bench.imds.fault(Rule::new("late", latency)).unwrap();
    let mut stream = TcpStream::connect(bench.imds.address()).await.unwrap();
    stream
        .write_all(request("GET / HTTP/1.1").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(bench.all().is_empty(), "it is still going on");
    drop(stream);
    for _ in 0..500 {
        if let [exchange] = bench.all().as_slice() {
            assert_eq!(
                (exchange.outcome, exchange.status),
                (Outcome::Abandoned, None)
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nothing in the journal");
}

#[tokio::test]
async fn the_newest_are_kept_and_the_others_counted() {
    let bench = Bench::with(|config| config.journal.capacity = 3).await;
    for _ in 0..5 {
        bench.ask("GET / HTTP/1.1").await;
    }
    let found = bench.imds.find(&Filter::default()).unwrap();
    let numbers: Vec<u64> = found
        .exchanges
        .iter()
        .map(|exchange| exchange.number)
        .collect();
    assert_eq!((numbers, found.dropped), (vec![3, 4, 5], 2));
    let report = bench.imds.verify(&[Assertion::NoForwarded]).unwrap();
    assert!(
        report.to_string().contains("older requests dropped: 2"),
        "{report}"
    );
    bench.imds.clear_journal();
    let found = bench.imds.find(&Filter::default()).unwrap();
    assert_eq!((found.exchanges.len(), found.dropped), (0, 0));
    let without = Bench::with(|config| config.journal.capacity = 0).await;
    without.ask("GET / HTTP/1.1").await;
    assert!(without.all().is_empty());
}

#[tokio::test]
async fn exchanges_can_be_found_by_everything() {
    let bench =
        Bench::with(|config| config.metadata_options.http_tokens = HttpTokens::Optional).await;
    let _guard = bench
        .imds
        .fault(Rule::new("gone", Fault::endpoint_disabled()).on("/gone"))
        .unwrap();
    let token = bench.token("60").await.body;
    bench.get(LIST, &token).await;
    bench.get(LIST, "nonsense").await;
    bench
        .ask("GET //%67one HTTP/1.1\nUser-Agent: Boto3/1")
        .await;
    let filters = [
        (r#"{"path": "/gone/"}"#, vec![4]),
        (r#"{"path": "/latest/meta-data/iam/*/"}"#, vec![2, 3]),
        (r#"{"path": "/latest/**"}"#, vec![1, 2, 3]),
        (r#"{"method": "PUT"}"#, vec![1]),
        (r#"{"imds": "v1"}"#, vec![4]),
        (r#"{"token": "invalid"}"#, vec![3]),
        (r#"{"status": 200}"#, vec![1, 2]),
        (r#"{"outcome": "answered", "since": 2}"#, vec![3, 4]),
        (r#"{"rule": "gone"}"#, vec![4]),
        (r#"{"user-agent": "boto3/*"}"#, vec![4]),
        (r#"{"client": "10.0.0.0/8"}"#, vec![]),
        (r#"{"limit": 2}"#, vec![3, 4]),
        (r#"{"status": 401, "method": "PUT"}"#, vec![]),
    ];
    for (filter, numbers) in filters {
        let filter: Filter = serde_json::from_str(filter).unwrap();
        let found = bench.imds.find(&filter).unwrap();
        let found: Vec<u64> = found
            .exchanges
            .iter()
            .map(|exchange| exchange.number)
            .collect();
        assert_eq!(found, numbers, "{filter:?}");
        assert_eq!(bench.imds.count(&filter).unwrap(), numbers.len());
    }
    let error = bench.imds.find(&Filter::path("/[a")).unwrap_err();
    assert_eq!(error.key(), "filter.path");
}

#[tokio::test]
async fn it_can_be_followed() {
    let bench = Bench::new().await;
    bench.ask("GET /before HTTP/1.1").await;
    let mut follow = bench.imds.follow();
    bench.ask("GET /after HTTP/1.1").await;
    assert_eq!(follow.recv().await.unwrap().path, "/after");
}

#[tokio::test]
async fn no_imdsv1_and_no_forwarded() {
    let bench = Bench::new().await;
    bench.read(LIST).await;
    assert!(bench.holds(Assertion::NoImdsv1).0);
    assert!(bench.holds(Assertion::NoForwarded).0);
    bench
        .ask(&format!("GET {LIST} HTTP/1.1\nX-Forwarded-For: x"))
        .await;
    assert_eq!(
        bench.holds(Assertion::NoImdsv1),
        (false, "1 of 3 requests had no token".into())
    );
    assert!(!bench.holds(Assertion::NoForwarded).0);
}

#[tokio::test]
async fn max_token_puts_and_max_and_min_requests() {
    let bench = Bench::new().await;
    bench.token("60").await;
    assert!(bench.holds(Assertion::MaxTokenPuts(1)).0);
    for no_wish_for_one in ["GET /latest/api/token", "PUT /latest/user-data"] {
        bench.ask(&format!("{no_wish_for_one} HTTP/1.1")).await;
    }
    assert!(bench.holds(Assertion::MaxTokenPuts(1)).0);
    bench.imds.clear_journal();
    bench.token("60").await;
    bench.ask("PUT //latest/api/%74oken/ HTTP/1.1").await;
    assert_eq!(
        bench.holds(Assertion::MaxTokenPuts(1)),
        (false, "2 requests for a token".into())
    );
    // Ten requests, one a second.
    for _ in 0..8 {
        bench.pass(1);
        bench.ask("GET / HTTP/1.1").await;
    }
    let max = |max, within: Option<&str>, path: Option<&str>| {
        let max = MaxRequests::new(max).of(path.map(Filter::path).unwrap_or_default());
        Assertion::from(match within {
            Some(within) => max.within(within.parse::<Span>().unwrap()),
            None => max,
        })
    };
    assert!(bench.holds(max(10, None, None)).0);
    assert!(!bench.holds(max(9, None, None)).0);
    assert!(bench.holds(max(8, None, Some("/"))).0);
    assert!(bench.holds(max(3, Some("2s"), None)).0);
    assert_eq!(
        bench.holds(max(2, Some("2s"), None)),
        (false, "3 requests within 2s".into())
    );
    let min = |min, path: &str| MinRequests::new(min).of(Filter::path(path)).into();
    assert!(bench.holds(min(7, "/")).0);
    assert!(bench.holds(min(8, "/")).0);
    assert!(!bench.holds(min(9, "/")).0);
    let number = |number| Requests::new(number).of(Filter::path("/")).into();
    assert!(bench.holds(number(8)).0);
    assert!(!bench.holds(number(7)).0 && !bench.holds(number(9)).0);
}

#[tokio::test]
async fn order() {
    let bench = Bench::new().await;
    bench.read(LIST).await;
    bench.read(&format!("{LIST}the-role")).await;
    let order = |patterns: &[&str]| {
        Assertion::Order(patterns.iter().map(|&pattern| pattern.into()).collect())
    };
    let role = "GET **/security-credentials/the-role";
    assert!(bench.holds(order(&["PUT /latest/api/token", LIST, role])).0);
    assert!(bench.holds(order(&[])).0);
    assert!(!bench.holds(order(&[&format!("PUT {LIST}")])).0);
    let (holds, why) = bench.holds(order(&[role, LIST]));
    assert!(!holds);
    assert_eq!(
        why,
        format!("no request matches {LIST:?} after the requests before it in the order")
    );
    let report = bench.imds.verify(&[order(&["GET /nowhere"])]).unwrap();
    assert!(!report.holds);
    assert_eq!(
        report.verdicts[0].why,
        "no request matches \"GET /nowhere\""
    );
}

#[tokio::test]
async fn backs_off_after() {
    let bench = Bench::new().await;
    let unavailable = Fault::status(503);
    let _guard = bench
        .imds
        .fault(Rule::new("unavailable", unavailable))
        .unwrap();
    let after = |status, at_least: &str| {
        let at_least: Span = at_least.parse().unwrap();
        BacksOff::new(status).at_least(at_least).into()
    };
    bench.ask("GET / HTTP/1.1").await;
    bench.ask("GET /other HTTP/1.1").await;
    assert!(
        bench.holds(after(503, "100ms")).0,
        "another path is no repetition"
    );
    tokio::time::sleep(Duration::from_millis(120)).await;
    bench.ask("GET / HTTP/1.1").await;
    assert!(bench.holds(after(503, "100ms")).0);
    bench.ask("GET / HTTP/1.1").await;
    assert!(!bench.holds(after(503, "100ms")).0);
    assert!(bench.holds(after(500, "100ms")).0);
}

/// What a panic says.
fn panic_of(panics: impl FnOnce()) -> Option<String> {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).err()?;
    Some(*panic.downcast::<String>().unwrap())
}

#[tokio::test]
async fn an_expectation_is_checked_when_its_guard_is_dropped() {
    let bench = Bench::new().await;
    bench.ask("GET / HTTP/1.1").await;
    let met = bench.imds.expect(Assertion::NoImdsv1);
    let (line, two) = (line!(), bench.imds.expect(Requests::new(2)));
    bench.token("60").await;
    assert_eq!(panic_of(|| drop(met)), None, "it counts from its creation");
    let text = panic_of(|| drop(two)).unwrap();
    for part in [
        format!("the expectation of emulator/tests/journal.rs:{line}:"),
        "FAILS  exactly 2 requests: 1 request".to_owned(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }

    let early = bench.imds.expect(Requests::new(1));
    assert!(panic_of(|| early.verify()).unwrap().contains("0 requests"));
    let done = bench.imds.expect(Requests::new(1));
    bench.token("60").await;
    assert_eq!(panic_of(|| done.verify()), None);
    bench.token("60").await;

    let invalid = bench.imds.expect(UserAgent::new("["));
    let text = panic_of(|| drop(invalid)).unwrap();
    assert!(
        text.contains("is invalid: assertions[0].user_agent.matches: \"[\""),
        "{text}"
    );
}

#[tokio::test]
async fn an_expectation_knows_what_the_journal_dropped_and_survives_that_it_is_cleared() {
    let bench = Bench::configured("journal.capacity = 2").await;
    bench.token("60").await;
    bench.token("60").await;
    let three = bench.imds.expect(Requests::new(3));
    for _ in 0..3 {
        bench.token("60").await;
    }
    let text = panic_of(|| drop(three)).unwrap();
    assert!(
        text.contains("2 requests (older requests dropped: 1)"),
        "{text}"
    );
    let one = bench.imds.expect(Requests::new(1));
    bench.token("60").await;
    bench.imds.clear_journal();
    bench.token("60").await;
    assert_eq!(panic_of(|| drop(one)), None);
}

#[tokio::test]
async fn a_test_that_fails_already_is_not_aborted_by_an_expectation() {
    let bench = Bench::new().await;
    let expected = bench.imds.expect(Requests::new(1));
    let text = panic_of(|| {
        let _expected = expected;
        panic!("{}", "first".to_owned());
    });
    assert_eq!(text.as_deref(), Some("first"));
}

#[tokio::test]
async fn user_agent() {
    let bench = Bench::new().await;
    let matches = |matches: &str| UserAgent::new(matches).into();
    bench.ask("GET / HTTP/1.1\nUser-Agent: Boto3/1.44").await;
    assert!(bench.holds(matches("Boto3/*")).0);
    bench.ask("GET / HTTP/1.1").await;
    assert!(!bench.holds(matches("Boto3/*")).0);
}

#[tokio::test]
async fn assertions_are_written_as_in_the_documentation() {
    let written = r#"["no_imdsv1", "no_forwarded", {"max_token_puts": 1},
        {"max_requests": {"max": 10, "within": "1s", "of": {"path": "/x"}}},
        {"min_requests": {"min": 1}}, {"order": ["PUT /latest/api/token", "GET **"]},
        {"backs_off_after": {"status": 503}}, {"user_agent": {"matches": "*"}}, {"max_packets_per_second": 512}]"#;
    let assertions: Vec<Assertion> = serde_json::from_str(written).unwrap();
    assert_eq!(assertions.len(), 9);
    let bench = Bench::with(|config| config.journal.packets = cfg!(target_os = "linux")).await;
    let report = bench.imds.verify(&assertions).unwrap();
    assert_eq!(report.verdicts.len(), 9);
    assert!(serde_json::from_str::<Assertion>(r#"{"max_requests": {"mxa": 1}}"#).is_err());
}

#[test]
fn assertions_are_shown_as_sentences() {
    for (assertion, sentence) in [
        (
            json!("no_imdsv1"),
            "every request has a token, or requests one",
        ),
        (json!("no_forwarded"), "no request has an X-Forwarded-For"),
        (
            json!({"max_token_puts": 1}),
            "at most 1 request for a token",
        ),
        (
            json!({"max_requests": {"max": 10, "within": "1s", "of": {"path": "/x"}}}),
            "at most 10 requests with path=/x, within any 1s",
        ),
        (
            json!({"min_requests": {"min": 1, "of": {"status": 503, "outcome": "no-response"}}}),
            "at least 1 request with outcome=no-response status=503",
        ),
        (json!({"requests": {"number": 0}}), "no request"),
        (
            json!({"requests": {"number": 1, "of": {"method": "PUT"}}}),
            "exactly 1 request with method=PUT",
        ),
        (
            json!({"order": ["PUT **", "GET **"]}),
            "in this order: PUT **, GET **",
        ),
        (
            json!({"max_packets_per_second": 512}),
            "at most 512 packets to IMDS in any second",
        ),
        (
            json!({"backs_off_after": {"status": 503}}),
            "after the status 503, at least 100ms until the next request for the path",
        ),
        (
            json!({"user_agent": {"matches": "Boto3/*"}}),
            "every User-Agent matches \"Boto3/*\"",
        ),
    ] {
        let assertion: Assertion = serde_json::from_value(assertion).unwrap();
        assert_eq!(assertion.to_string(), sentence);
    }
}
