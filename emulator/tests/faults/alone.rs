//! The core alone: what it decides and tells, without a socket.

use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use imds_emulator::config::{Config, HttpTokens, Peers, Span};
use imds_emulator::fault::kinds::Down;
use imds_emulator::fault::{Family, Fault, ImdsVersion, ResetAfter, Rule, TokenState};
use imds_emulator::imds::{Client, Decision, Delivery, Imds};

use crate::bench::began;

/// An instance that needs no tokens, with these rules.
pub(crate) fn alone(rules: Vec<Rule>) -> Imds {
    seeded(7, rules)
}

fn seeded(seed: u8, rules: Vec<Rule>) -> Imds {
    let mut config = Config::default();
    config.metadata_options.http_tokens = HttpTokens::Optional;
    config.faults = rules;
    Imds::new(config, [seed; 32], began()).unwrap()
}

/// A request on the only connection, at the beginning.
pub(crate) fn ask(imds: &Imds, method: &str, path: &str) -> Decision {
    ask_with(
        imds,
        Request::builder().method(method).uri(path),
        1,
        began(),
    )
}

fn ask_with(
    imds: &Imds,
    request: http::request::Builder,
    connections: usize,
    at: DateTime<Utc>,
) -> Decision {
    let (request, ()) = request.body(()).unwrap().into_parts();
    let client = Client {
        address: [127, 0, 0, 1].into(),
        connections,
        process: None,
        network_is_ours: false,
    };
    imds.decide(&request, client, at)
}

fn put() -> http::request::Builder {
    Request::put("/latest/api/token").header("X-aws-ec2-metadata-token-ttl-seconds", "60")
}

/// A request with this token, a while after the beginning.
fn with_token(imds: &Imds, token: &str, seconds: i64) -> TokenState {
    let request = Request::get("/").header("X-aws-ec2-metadata-token", token);
    let decision = ask_with(imds, request, 1, began() + TimeDelta::seconds(seconds));
    decision.summary.token
}

#[test]
fn what_a_client_uses_is_told_from_its_token_or_its_wish_for_one() {
    let imds = alone(Vec::new());
    for (method, path, version) in [
        ("GET", "/", ImdsVersion::V1),
        ("GET", "/latest/api/token", ImdsVersion::V1),
        ("PUT", "/latest/user-data", ImdsVersion::V1),
        ("PUT", "/latest/api/token", ImdsVersion::V2),
        ("PUT", "/latest/api/%74oken", ImdsVersion::V2),
    ] {
        assert_eq!(
            ask(&imds, method, path).summary.imds,
            version,
            "{method} {path}"
        );
    }
    let request = Request::get("/").header("X-aws-ec2-metadata-token", "wrong");
    let summary = ask_with(&imds, request, 1, began()).summary;
    assert_eq!((summary.imds, summary.number), (ImdsVersion::V2, 6));
}

#[test]
fn a_good_token_that_a_fault_refuses_is_told_as_invalid() {
    let imds = alone(Vec::new());
    let Delivery::Response(response) = ask_with(&imds, put(), 1, began()).delivery else {
        panic!("a token");
    };
    let token = std::str::from_utf8(response.body()).unwrap();
    assert_eq!(with_token(&imds, token, 59), TokenState::Valid);
    let flap = Rule::new("flap", Fault::token_flap());
    let imds = imds.with_fault(flap, began()).unwrap();
    assert_eq!(with_token(&imds, token, 59), TokenState::Invalid);
    assert_eq!(with_token(&imds, token, 60), TokenState::Expired);
    let early = Fault::token_expire_early(Span::seconds(10));
    let imds = imds.without_faults();
    let imds = imds.with_fault(Rule::new("early", early), began()).unwrap();
    assert_eq!(with_token(&imds, token, 9), TokenState::Valid);
    assert_eq!(with_token(&imds, token, 10), TokenState::Invalid);
}

#[test]
fn no_escape_in_a_path_leads_around_a_rule() {
    let by_version = |version: &str| {
        let mut rule = Rule::new("version", Fault::blackhole());
        rule.matches.version = Some(version.into());
        ask(&alone(vec![rule]), "GET", "/%6catest/")
            .summary
            .rules
            .len()
    };
    assert_eq!((by_version("latest"), by_version("%6catest")), (1, 0));

    let imds = alone(vec![Rule::new("hops", Fault::hop_limit())]);
    let summary = ask(&imds, "PUT", "/latest/api/%74oken").summary;
    assert_eq!(summary.rules.len(), 1);

    let mut config = imds.config().clone();
    config.server.peers = vec![Peers::new("127.0.0.0/8".parse().unwrap(), 2)];
    let imds = imds.without_faults().changed(config, began()).unwrap();
    let silent = |method, path| matches!(ask(&imds, method, path).delivery, Delivery::NoResponse);
    assert!(silent("PUT", "/latest/api/%74oken"), "[I21]");
    assert!(!silent("PUT", "/latest/user-data") && !silent("GET", "/latest/api/token"));
}

#[test]
fn it_does_not_tell_its_secrets() {
    let text = format!("{:?}", alone(Vec::new()));
    assert_eq!(text, "Imds { instance: \"i-0a1b2c3d4e5f67890\", .. }");
}

/// The connections, of so many, that are reset before a request is read; their numbers as told.
fn accepted(imds: &Imds, count: usize, at: DateTime<Utc>) -> Vec<u64> {
    let client = Client {
        address: [127, 0, 0, 1].into(),
        connections: 1,
        process: None,
        network_is_ours: false,
    };
    let told = (0..count).filter_map(|_| imds.accept(client, at));
    told.map(|told| told.number).collect()
}

fn at_accept() -> Rule {
    let after = ResetAfter::Accept;
    Rule::new("reset", Fault::reset_peer(after))
}

#[test]
fn a_rule_for_connections_keeps_to_its_client_and_its_time() {
    let of = |network: &str| {
        let mut rule = at_accept();
        rule.matches.client = Some(network.parse().unwrap());
        accepted(&alone(vec![rule]), 2, began())
    };
    assert_eq!(of("127.0.0.0/8"), [1, 2]);
    assert!(of("10.0.0.0/8").is_empty());

    let mut rule = at_accept();
    rule.when.after = Some(Span::seconds(1));
    let imds = alone(vec![Rule::new("other", Fault::blackhole()), rule]);
    assert!(accepted(&imds, 1, began()).is_empty());
    assert_eq!(accepted(&imds, 1, began() + TimeDelta::seconds(1)), [1]);
}

#[test]
fn rules_for_connections_are_not_looked_at_again_for_requests() {
    let family = Some(Family::Ipv6);
    let rules = vec![
        Rule::new("down", Down::new().family(family)),
        at_accept().after_requests(1),
    ];
    let imds = alone(rules);
    assert!(accepted(&imds, 1, began()).is_empty());
    let summary = ask(&imds, "GET", "/").summary;
    assert!(summary.rules.is_empty(), "{:?}", summary.rules);
    assert_eq!(accepted(&imds, 1, began()), [2]);
}

#[test]
fn after_a_time_there_is_no_end_and_for_a_time_no_wait() {
    let silent = |imds: &Imds, seconds| {
        let at = began() + TimeDelta::seconds(seconds);
        let delivery = ask_with(imds, Request::get("/"), 1, at).delivery;
        matches!(delivery, Delivery::NoResponse)
    };
    let mut rule = Rule::new("rule", Fault::blackhole());
    rule.when.after = Some(Span::seconds(10));
    let imds = alone(vec![rule.clone()]);
    assert_eq!(
        [9, 10, 100].map(|at| silent(&imds, at)),
        [false, true, true]
    );
    rule.when.after = None;
    rule.when.duration = Some(Span::seconds(10));
    let imds = alone(vec![rule]);
    assert_eq!([0, 9, 10].map(|at| silent(&imds, at)), [true, true, false]);
}

#[test]
fn as_many_connections_as_may_be_are_served() {
    let limit = Fault::connection_limit(2);
    let imds = alone(vec![Rule::new("limit", limit)]);
    let silent = [1, 2, 3].map(|connections| {
        let delivery = ask_with(&imds, Request::get("/"), connections, began()).delivery;
        matches!(delivery, Delivery::NoResponse)
    });
    assert_eq!(silent, [false, false, true]);
}

#[test]
fn which_requests_a_rule_is_for_follows_from_the_seed_and_its_name() {
    let applies = |seed, name: &str| -> Vec<bool> {
        let rule = Rule::new(name, Fault::blackhole()).with_probability(0.5);
        let imds = seeded(seed, vec![rule]);
        (0..64)
            .map(|_| !ask(&imds, "GET", "/").summary.rules.is_empty())
            .collect()
    };
    assert_eq!(applies(1, "a"), applies(1, "a"));
    assert_ne!(applies(1, "a"), applies(2, "a"));
    assert_ne!(applies(1, "a"), applies(1, "b"));
}

#[test]
fn scenarios_and_the_count_of_requests_begin_again_together() {
    let imds = alone(vec![Rule::new("rule", Fault::token_flap())]);
    imds.set_scenario("outage", "over");
    assert_eq!(ask(&imds, "GET", "/").summary.number, 1);
    let imds = imds.without_faults();
    assert_eq!(imds.scenario("outage"), "over", "rules are one thing");
    assert_eq!(ask(&imds, "GET", "/").summary.number, 2);
    imds.reset_counts();
    assert_eq!(imds.scenario("outage"), imds_emulator::fault::STARTED);
    assert_eq!(ask(&imds, "GET", "/").summary.number, 1);
}

#[test]
fn the_keys_that_are_told_are_those_of_the_document() {
    let imds = alone(Vec::new());
    let role = imds.config().instance.iam.clone().unwrap().role.unwrap();
    let path = format!("/latest/meta-data/iam/security-credentials/{role}");
    let Delivery::Response(response) = ask(&imds, "GET", &path).delivery else {
        panic!("a document");
    };
    let keys = imds.role_keys(began()).unwrap();
    let text = std::str::from_utf8(response.body()).unwrap();
    assert!(text.contains(&keys.access_key_id), "{text}");
}
