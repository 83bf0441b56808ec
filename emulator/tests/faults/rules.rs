//! Which requests a rule is for, when, and in which order rules are looked at.

use imds_emulator::config::{HttpTokens, Span};
use imds_emulator::fault::kinds::Status;
use imds_emulator::fault::{
    Fault, ImdsVersion, InScenario, Match, Numbers, Rule, STARTED, StatusBody, TokenState,
};
use imds_emulator::{Emulator, FaultGuard};

use crate::bench::{Bench, LIST, OK};

/// A fault that shows: this status.
fn status(code: u16) -> Fault {
    Status::new(code).body(StatusBody::Empty).into()
}

const TEAPOT: &str = "HTTP/1.1 418 I'm a teapot";

async fn bench() -> Bench {
    Bench::with(|config| config.metadata_options.http_tokens = HttpTokens::Optional).await
}

fn matching(imds: &Emulator, change: impl FnOnce(&mut Match)) -> FaultGuard {
    let mut rule = Rule::new("rule", status(418));
    change(&mut rule.matches);
    imds.fault(rule).unwrap()
}

/// Whether the rule applies to a request.
async fn applies(bench: &Bench, head: &str) -> bool {
    bench.ask(head).await.status == TEAPOT
}

#[tokio::test]
async fn by_path() {
    let bench = bench().await;
    for (glob, yes, no) in [
        (
            "/latest/api/token",
            "/latest/api/token",
            "/latest/api/token/",
        ),
        (
            "/latest/meta-data/*",
            "/latest/meta-data/ami-id",
            "/latest/meta-data/iam/info",
        ),
        (
            "/latest/meta-data/**",
            "/latest/meta-data/iam/info",
            "/latest/user-data",
        ),
        (
            "**/security-credentials/*",
            LIST,
            "/latest/meta-data/iam/info",
        ),
        (
            "/*/meta-data/",
            "/2021-03-23/meta-data/",
            "/latest/dynamic/",
        ),
        (
            "/latest/meta-data/ami-id",
            "//latest//meta-data/ami-id",
            "/latest/meta-data/ami-i",
        ),
        ("/", "/", "/latest"),
        ("/", "//", "//latest"),
        ("/latest/", "//latest//", "/latest/dynamic/"),
        ("/latest/", "//latest", "/latest-x"),
        (
            "**/security-credentials/",
            "/latest/meta-data/iam/security-credentials",
            "/latest/meta-data/iam/security-credentials/app",
        ),
        (
            "/latest/meta-data/**/arn:aws:*/app",
            "/latest/meta-data/iam/arn%3Aaws%3Aiam/app",
            "/latest/meta-data/iam/arn%3Aaws%2Fiam/app",
        ),
        (
            "/latest/meta-data/*/",
            "/latest/meta-data/iam/",
            "/latest/meta-data/ami-id",
        ),
    ] {
        let _guard = matching(&bench.imds, |matches| matches.path = Some(glob.into()));
        assert!(
            applies(&bench, &format!("GET {yes} HTTP/1.1")).await,
            "{glob} {yes}"
        );
        assert!(
            !applies(&bench, &format!("GET {no} HTTP/1.1")).await,
            "{glob} {no}"
        );
    }
}

#[tokio::test]
async fn by_method_version_and_version_of_imds() {
    let bench = bench().await;
    let token = bench.token("60").await.body;
    let get = format!("GET {LIST} HTTP/1.1");
    let with_token = format!("{get}\nX-aws-ec2-metadata-token: {token}");
    let put = "PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60";

    let guard = matching(&bench.imds, |matches| matches.method = Some("PUT".into()));
    assert!(applies(&bench, put).await && !applies(&bench, &get).await);
    guard.heal();

    let guard = matching(&bench.imds, |matches| {
        matches.version = Some("2021-03-23".into())
    });
    assert!(applies(&bench, "GET /2021-03-23/meta-data/ HTTP/1.1").await);
    assert!(!applies(&bench, "GET /latest/meta-data/ HTTP/1.1").await);
    guard.heal();

    let guard = matching(&bench.imds, |matches| matches.imds = Some(ImdsVersion::V1));
    assert!(applies(&bench, &get).await);
    assert!(!applies(&bench, put).await && !applies(&bench, &with_token).await);
    guard.heal();
    let _guard = matching(&bench.imds, |matches| matches.imds = Some(ImdsVersion::V2));
    assert!(!applies(&bench, &get).await);
    assert!(applies(&bench, put).await && applies(&bench, &with_token).await);
}

#[tokio::test]
async fn by_the_state_of_the_token() {
    let bench = bench().await;
    let old = bench.token("1").await.body;
    let good = bench.token("60").await.body;
    bench.pass(1);
    let head = |token: &str| format!("GET {LIST} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
    let heads = [
        (TokenState::None, format!("GET {LIST} HTTP/1.1")),
        (TokenState::Valid, head(&good)),
        (TokenState::Expired, head(&old)),
        (TokenState::Invalid, head("nonsense")),
    ];
    for (state, _) in &heads {
        let _guard = matching(&bench.imds, |matches| matches.token = Some(*state));
        for (other, head) in &heads {
            assert_eq!(
                applies(&bench, head).await,
                other == state,
                "{state:?} {other:?}"
            );
        }
    }
}

#[tokio::test]
async fn by_client_header_and_user_agent() {
    let bench = bench().await;
    let get = format!("GET {LIST} HTTP/1.1");
    for (network, yes) in [("127.0.0.1/32", true), ("10.0.0.0/8", false)] {
        let _guard = matching(&bench.imds, |matches| {
            matches.client = Some(network.parse().unwrap())
        });
        assert_eq!(applies(&bench, &get).await, yes, "{network}");
    }
    let guard = matching(&bench.imds, |matches| {
        matches.headers.insert("X-Test".into(), "a*c".into());
        matches.headers.insert("x-other".into(), "*".into());
    });
    assert!(applies(&bench, &format!("{get}\nx-test: abc\nX-Other: ")).await);
    assert!(!applies(&bench, &format!("{get}\nx-test: abc")).await);
    assert!(!applies(&bench, &format!("{get}\nx-test: abd\nx-other: y")).await);
    guard.heal();
    let _guard = matching(&bench.imds, |matches| {
        matches.user_agent = Some("Boto3/*".into())
    });
    assert!(
        applies(
            &bench,
            &format!("{get}\nUser-Agent: Boto3/1.44.5 md/Botocore#1")
        )
        .await
    );
    assert!(!applies(&bench, &format!("{get}\nUser-Agent: aws-sdk-rust/1")).await);
    assert!(!applies(&bench, &get).await);
}

#[tokio::test]
async fn by_the_number_of_the_request() {
    let bench = bench().await;
    let _guard = matching(&bench.imds, |matches| {
        matches.request = Some(Numbers::new(2, 3))
    });
    let mut applied = Vec::new();
    for _ in 0..4 {
        applied.push(applies(&bench, "GET / HTTP/1.1").await);
    }
    assert_eq!(applied, [false, true, true, false]);
}

/// To which of the first ten requests a rule applies.
async fn ten(bench: &Bench) -> Vec<u32> {
    let mut applied = Vec::new();
    for number in 0..10 {
        if applies(bench, "GET / HTTP/1.1").await {
            applied.push(number);
        }
    }
    applied
}

#[tokio::test]
async fn not_for_the_first_and_at_most_so_often() {
    let bench = bench().await;
    let rule = Rule::new("rule", status(418)).after_requests(3).times(2);
    let _guard = bench.imds.fault(rule).unwrap();
    assert_eq!(ten(&bench).await, [3, 4]);
    assert_eq!(bench.imds.faults()[0].1, 2, "it says how often it applied");
}

#[tokio::test]
async fn with_a_probability_that_can_be_repeated() {
    let with = async |seed, probability| {
        let bench = bench().await;
        let mut rule = Rule::new("rule", status(418)).with_probability(probability);
        rule.when.seed = Some(seed);
        let _guard = bench.imds.fault(rule).unwrap();
        ten(&bench).await
    };
    assert_eq!(with(1, 0.5).await, with(1, 0.5).await);
    assert_ne!(with(1, 0.5).await, with(2, 0.5).await);
    assert!(with(1, 0.0).await.is_empty());
    assert_eq!(with(1, 1.0).await.len(), 10);
}

#[tokio::test]
async fn after_and_for_a_time_on_the_clock() {
    let bench = bench().await;
    let mut rule = Rule::new("rule", status(418));
    rule.when.after = Some(Span::seconds(10));
    rule.when.duration = Some(Span::seconds(5));
    let _guard = bench.imds.fault(rule).unwrap();
    let mut applied = Vec::new();
    for _ in 0..4 {
        applied.push(applies(&bench, "GET / HTTP/1.1").await);
        bench.pass(5);
    }
    assert_eq!(applied, [false, false, true, false]);
}

#[tokio::test]
async fn until_its_time_to_live_runs_out_on_the_machines_clock() {
    // The emulator's clock stands still.
    let bench = bench().await;
    let mut rule = Rule::new("rule", status(418));
    rule.when.ttl = Some("200ms".parse().unwrap());
    bench.imds.fault(rule.clone()).unwrap().keep();
    assert!(applies(&bench, "GET / HTTP/1.1").await);
    // Another one with its name, from before it runs out.
    bench.imds.heal("rule");
    rule.when.ttl = None;
    bench.imds.fault(rule.clone()).unwrap().keep();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(
        applies(&bench, "GET / HTTP/1.1").await,
        "that is another one"
    );
    bench.imds.heal("rule");
    rule.when.ttl = Some("50ms".parse().unwrap());
    bench.imds.fault(rule).unwrap().keep();
    let began = std::time::Instant::now();
    while !bench.imds.faults().is_empty() {
        assert!(began.elapsed().as_secs() < 5);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(bench.ask("GET / HTTP/1.1").await.status, OK);
}

#[tokio::test]
async fn while_a_scenario_is_in_a_state() {
    let bench = bench().await;
    let step = |name: &str, code, state: &str, then: &str| {
        let mut rule = Rule::new(name, status(code));
        rule.when.scenario = Some(InScenario::new("outage", state).then(then));
        rule
    };
    bench
        .imds
        .fault(step("first", 500, STARTED, "worse"))
        .unwrap()
        .keep();
    bench
        .imds
        .fault(step("second", 503, "worse", "over"))
        .unwrap()
        .keep();
    let statuses = async || {
        let mut codes = Vec::new();
        for _ in 0..3 {
            let status = bench.ask("GET / HTTP/1.1").await.status;
            codes.push(status.split(' ').nth(1).unwrap().to_owned());
        }
        codes
    };
    assert_eq!(statuses().await, ["500", "503", "200"]);
    assert_eq!(bench.imds.scenario("outage"), "over");
    bench.imds.set_scenario("outage", "worse");
    assert_eq!(statuses().await, ["503", "200", "200"]);
    assert_eq!(bench.imds.scenario("another"), STARTED);
}

#[tokio::test]
async fn by_priority_then_in_order() {
    let bench = bench().await;
    let mut guards = Vec::new();
    for (name, code, priority) in [("a", 500, 0), ("b", 501, 0), ("c", 502, 5), ("d", 503, -1)] {
        let mut rule = Rule::new(name, status(code));
        rule.priority = priority;
        guards.push(bench.imds.fault(rule.times(1)).unwrap());
    }
    let mut codes = Vec::new();
    for _ in 0..5 {
        let status = bench.ask("GET / HTTP/1.1").await.status;
        codes.push(status.split(' ').nth(1).unwrap().to_owned());
    }
    assert_eq!(codes, ["502", "500", "501", "503", "200"]);
    let names: Vec<String> = bench
        .imds
        .faults()
        .into_iter()
        .map(|(rule, _)| rule.name)
        .collect();
    assert_eq!(names, ["c", "a", "b", "d"]);
}

#[tokio::test]
async fn a_guard_takes_its_own_rule_away_alone() {
    let bench = bench().await;
    let guard = bench.imds.fault(Rule::new("old", status(418))).unwrap();
    bench.imds.heal_all();
    bench
        .imds
        .fault(Rule::new("new", status(418)))
        .unwrap()
        .keep();
    guard.heal();
    assert!(applies(&bench, "GET / HTTP/1.1").await);
}

#[tokio::test]
async fn a_rule_from_the_file_is_like_one_from_rust() {
    let bench = Bench::configured(
        r#"
        [[faults]]
        name = "broken tokens"
        priority = 3
        match = { path = "/latest/api/token", method = "PUT", headers = { x-test = "*" } }
        when = { skip-first = 1, count = 1, probability = 1.0 }
        fault = { type = "status", code = 418, body = "empty" }
        "#,
    )
    .await;
    let put = "PUT /latest/api/token HTTP/1.1\nX-Test: 1\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    assert!(!applies(&bench, put).await);
    assert!(applies(&bench, put).await);
    assert!(!applies(&bench, put).await);
    assert_eq!(bench.imds.faults()[0].0.name, "broken tokens");
    assert!(bench.imds.heal("broken tokens"));
    assert!(!bench.imds.heal("broken tokens"));
}

#[tokio::test]
async fn names_that_others_use_are_understood() {
    for (alias, name) in [
        ("CONNECTION_RESET_BY_PEER", "reset_peer"),
        ("EMPTY_RESPONSE", "empty_response"),
        ("MALFORMED_RESPONSE_CHUNK", "malformed_chunk"),
        ("RANDOM_DATA_THEN_CLOSE", "random_data_then_close"),
        ("timeout", "blackhole"),
        ("unreachable", "down"),
    ] {
        let rule: Rule =
            serde_json::from_value(serde_json::json!({"name": "x", "fault": {"type": alias}}))
                .unwrap();
        assert_eq!(serde_json::to_value(&rule).unwrap()["fault"]["type"], name);
    }
}

#[tokio::test]
async fn what_is_no_rule_is_refused_with_its_place() {
    let bench = bench().await;
    let error = |rule: Rule| {
        bench
            .imds
            .fault(rule)
            .map(FaultGuard::keep)
            .unwrap_err()
            .to_string()
    };
    let refused = [
        (Rule::new("", status(500)), "fault.name"),
        (Rule::new("x", status(99)), "fault.fault.code"),
        (Rule::new("x", status(500)).on("latest"), "fault.match.path"),
        (Rule::new("x", status(500)).on("/[a"), "fault.match.path"),
        (
            Rule::new("x", status(500)).with_probability(1.5),
            "fault.when.probability",
        ),
        (Rule::new("x", status(500)).times(0), "fault.when.count"),
        (Rule::new("x", Fault::down()).on("/x"), "fault.match"),
        (Rule::new("x", Fault::down()).times(1), "fault.when"),
        (Rule::new("x", Fault::ttl_cap(0)), "fault.fault.seconds"),
        (Rule::new("x", Fault::role_changed("a b")), "fault.fault.to"),
        (
            Rule::new("x", Fault::drop_header("no header")),
            "fault.fault.name",
        ),
    ];
    for (rule, key) in refused {
        let error = error(rule);
        assert!(error.starts_with(&format!("{key}: ")), "{error}");
        assert!(error.contains("accepted: "), "{error}");
    }
    let _guard = bench.imds.fault(Rule::new("x", status(500))).unwrap();
    let twice = error(Rule::new("x", status(500)));
    assert!(twice.contains("a name that no other rule has"), "{twice}");
    for json in [
        r#"{"name": "x", "fault": {"type": "statsu"}}"#,
        r#"{"name": "x", "fault": {"type": "status", "code": 500, "cod": 1}}"#,
        r#"{"name": "x", "fault": {"type": "blackhole", "delay": "1s"}}"#,
        r#"{"name": "x", "when": {"cuont": 1}, "fault": {"type": "blackhole"}}"#,
    ] {
        assert!(serde_json::from_str::<Rule>(json).is_err(), "{json}");
    }
}
