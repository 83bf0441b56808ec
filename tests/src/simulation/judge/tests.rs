//! Each invariant is violated once.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use ec2_role_host::ErrorKind;

use super::*;
use crate::simulation::client::Given;
use crate::simulation::server::{Broken, Exchanged, ImdsResponse};

const SECRET: &str = "a secret of some length";

fn judge() -> Judge {
    let rules = Rules {
        policy: RefreshPolicy::Classic,
        window: None,
        jitter: 0,
        max_extension: None,
    };
    Judge::new(0, rules, &Options::default(), false, Duration::ZERO)
}

fn exchange(has_token: bool, outcome: Result<ImdsResponse, Broken>) -> Exchange {
    Exchange {
        began: Duration::ZERO,
        put: false,
        path: "/latest/meta-data/iam/security-credentials/role".into(),
        has_token,
        exchanged: Exchanged {
            rules: Vec::new(),
            outcome: outcome.map(Arc::new),
            wrong: None,
        },
        body_limit: 1000,
    }
}

/// A refresh that failed, when nothing was held.
fn failed() -> Call {
    let now = Moment {
        wall: Duration::from_secs(1_800_000_000),
        monotonic: Duration::from_secs(7),
    };
    Call {
        began: now,
        ended: now,
        exchanges: vec![exchange(true, Err(Broken::Refused))],
        result: Err(ReportedError {
            kind: ErrorKind::Unavailable,
            line: "refused".into(),
            debug: "Refused".into(),
        }),
        failing: true,
        status: "fine".into(),
        restarts: 0,
        served: Served::Alone,
        logged: String::new(),
    }
}

const UNHEALTHY: WorldState = WorldState {
    now: Duration::ZERO,
    began: Duration::ZERO,
    healthy_since: None,
    jumps: 0,
};

#[track_caller]
fn breaks(invariant: Invariant, judge: &mut Judge, call: &Call, around: WorldState) {
    let found = judge
        .call(call, around)
        .map(|violation| violation.invariant);
    assert_eq!(found, Some(invariant));
}

#[test]
fn a_failure_under_a_fault_is_not_a_violation() {
    assert_eq!(judge().call(&failed(), UNHEALTHY), None);
}

#[test]
fn a_request_without_a_token_is_found() {
    let mut call = failed();
    call.exchanges = vec![exchange(false, Err(Broken::Refused))];
    breaks(Invariant::NoImdsv1, &mut judge(), &call, UNHEALTHY);
}

#[test]
fn a_flood_is_found() {
    let mut call = failed();
    call.exchanges = (0..19).map(|_| exchange(true, Err(Broken::Late))).collect();
    breaks(Invariant::BoundedRequests, &mut judge(), &call, UNHEALTHY);
}

#[test]
fn a_wrong_response_of_the_emulator_is_found() {
    let mut call = failed();
    for exchange in &mut call.exchanges {
        exchange.exchanged.wrong = Some("so".into());
    }
    breaks(Invariant::Emulator, &mut judge(), &call, UNHEALTHY);
}

#[test]
fn a_sandbox_that_restarted_is_found() {
    let mut call = failed();
    call.restarts = 1;
    breaks(Invariant::Sandbox, &mut judge(), &call, UNHEALTHY);
}

#[test]
fn growing_memory_is_found() {
    let mut call = failed();
    call.status = "x".repeat(HELD + 1);
    breaks(Invariant::FlatMemory, &mut judge(), &call, UNHEALTHY);
}

#[test]
fn a_secret_in_any_output_is_found() {
    let body = format!(r#"{{"SecretAccessKey":"{SECRET}"}}"#);
    let response = || ImdsResponse::new(500, HeaderMap::new(), Bytes::from(body.clone()));
    let shown = format!("this is {SECRET}");
    for place in ["line", "debug", "status", "log"] {
        let mut call = failed();
        call.exchanges = vec![exchange(true, Ok(response()))];
        match (place, &mut call.result) {
            ("line", Err(said)) => said.line.clone_from(&shown),
            ("debug", Err(said)) => said.debug.clone_from(&shown),
            ("log", _) => call.logged.clone_from(&shown),
            _ => call.status.clone_from(&shown),
        }
        breaks(Invariant::NoSecrets, &mut judge(), &call, UNHEALTHY);
    }
}

#[test]
fn expired_credentials_are_found() {
    let mut call = failed();
    call.result = Ok(given(&call));
    assert_eq!(judge().result(&call, UNHEALTHY), Ok(()));
    call.ended.wall += Duration::from_secs(1);
    let verdict = judge().result(&call, UNHEALTHY);
    assert!(matches!(verdict, Err((Invariant::NothingExpired, _))));
}

#[test]
fn a_failure_while_imds_is_healthy_is_found() {
    let around = WorldState {
        healthy_since: Some(Duration::ZERO),
        ..UNHEALTHY
    };
    breaks(
        Invariant::NoExtensionInHealth,
        &mut judge(),
        &failed(),
        around,
    );
}

#[test]
fn a_client_that_does_not_recover_is_found() {
    let mut judge = judge();
    assert_eq!(judge.call(&failed(), UNHEALTHY), None);
    // The same error for a second, without a request.
    let mut call = failed();
    call.exchanges.clear();
    let at = |began| WorldState {
        now: began,
        began,
        healthy_since: Some(Duration::ZERO),
        ..UNHEALTHY
    };
    assert_eq!(judge.call(&call, at(Duration::from_secs(15 * 60))), None);
    breaks(Invariant::Recovery, &mut judge, &call, at(RECOVERY));
}

fn given(call: &Call) -> Given {
    let expires = call.ended.wall.as_secs() + 1;
    Given {
        access_key_id: "id".into(),
        secret_access_key: "secret".into(),
        session_token: "token".into(),
        expires,
        refresh_after: expires,
    }
}

fn document(body: &'static str) -> ImdsResponse {
    ImdsResponse::new(200, HeaderMap::new(), Bytes::from(body))
}

fn in_the_background() -> Judge {
    Judge {
        model: None,
        ..judge()
    }
}

#[test]
fn credentials_that_imds_did_not_issue_are_found() {
    let mut call = failed();
    call.result = Ok(given(&call));
    let mut judge = in_the_background();
    breaks(Invariant::Known, &mut judge, &call, UNHEALTHY);
    let body = r#"{"SecretAccessKey":"secret","Token":"token"}"#;
    call.exchanges = vec![exchange(true, Ok(document(body)))];
    assert_eq!(judge.call(&call, UNHEALTHY), None);
}

#[test]
fn a_missing_refresh_in_the_background_is_found() {
    let mut call = failed();
    let body = r#"{"SecretAccessKey":"secret","Token":"token"}"#;
    call.result = Ok(given(&call));
    call.failing = false;
    let mut judge = in_the_background();
    for time in 0..3 {
        let began = RECOVERY + Duration::from_secs(3600 * time);
        let mut exchange = exchange(true, Ok(document(body)));
        exchange.began = began;
        call.exchanges = vec![exchange];
        let around = WorldState {
            now: began,
            began,
            healthy_since: Some(Duration::ZERO),
            // One reason in addition to the first refresh.
            jumps: 1,
        };
        match time {
            2 => breaks(Invariant::Background, &mut judge, &call, around),
            _ => assert_eq!(judge.call(&call, around), None),
        }
    }
}

#[test]
fn a_result_that_differs_from_the_model_is_found() {
    let mut call = failed();
    call.exchanges.clear();
    breaks(Invariant::Model, &mut judge(), &call, UNHEALTHY);
}
