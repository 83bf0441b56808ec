//! Results that differ from the model are found.

use std::sync::Arc;

use ec2_role_host::ErrorKind;

use super::*;
use crate::simulation::client::Exchange;
use crate::simulation::server::{Exchanged, ImdsResponse};

const WALL: u64 = 1_800_000_000;

fn at(seconds: u64) -> Moment {
    Moment {
        wall: Duration::from_secs(WALL + seconds),
        monotonic: Duration::from_secs(seconds),
    }
}

fn model(policy: RefreshPolicy) -> Model {
    Model::new(Rules {
        policy,
        window: None,
        jitter: 0,
        max_extension: None,
    })
}

fn exchange(status: u16, body: &'static str) -> Exchange {
    Exchange {
        began: Duration::ZERO,
        put: false,
        path: "/latest/meta-data/iam/security-credentials/role".into(),
        has_token: true,
        exchanged: Exchanged {
            rules: Vec::new(),
            outcome: Ok(Arc::new(ImdsResponse::new(
                status,
                http::HeaderMap::new(),
                body.into(),
            ))),
            wrong: None,
        },
        body_limit: 1000,
    }
}

/// A call at a moment, which returned `result` after `exchanges`.
fn call(seconds: u64, result: Result<Given, ReportedError>, exchanges: Vec<Exchange>) -> Call {
    Call {
        began: at(seconds),
        ended: at(seconds),
        exchanges,
        result,
        failing: false,
        status: String::new(),
        restarts: 0,
        served: Served::Alone,
        logged: String::new(),
    }
}

fn said(kind: ErrorKind) -> Result<Given, ReportedError> {
    Err(ReportedError {
        kind,
        line: "so".into(),
        debug: "So".into(),
    })
}

const DOCUMENT: &str = r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"secret","Token":"token",
    "Expiration":"2027-01-15T08:50:00Z"}"#;

/// Credentials with a life of fifty minutes. With `windowed`, they are due fifteen minutes before they expire.
fn credentials(refresh_after: u64) -> Result<Given, ReportedError> {
    Ok(Given {
        access_key_id: "id".into(),
        secret_access_key: "secret".into(),
        session_token: "token".into(),
        expires: WALL + 3_000,
        refresh_after: WALL + refresh_after,
    })
}

/// A model that has held [`credentials`] since the first second.
fn holding(policy: RefreshPolicy, refresh_after: u64) -> Model {
    let mut model = model(policy);
    let first = call(0, credentials(refresh_after), vec![exchange(200, DOCUMENT)]);
    assert_eq!(model.check(&first), Ok(()));
    model
}

#[test]
fn a_refresh_before_credentials_are_due_is_found() {
    let mut model = holding(RefreshPolicy::Windowed, 2_100);
    let served = call(2_099, credentials(2_100), Vec::new());
    assert_eq!(model.check(&served), Ok(()));
    let asked = call(2_099, credentials(2_100), vec![exchange(200, DOCUMENT)]);
    assert!(model.check(&asked).unwrap_err().contains("not due"));
    let served = call(2_101, credentials(2_100), Vec::new());
    assert!(
        model
            .check(&served)
            .unwrap_err()
            .contains("no request is sent")
    );
}

#[test]
fn during_a_refresh_windowed_returns_held_credentials_until_the_last_minute() {
    let beside = |seconds, refresh_after| Call {
        served: Served::DuringRefresh,
        ..call(seconds, credentials(refresh_after), Vec::new())
    };
    let mut windowed = holding(RefreshPolicy::Windowed, 2_100);
    assert_eq!(windowed.check(&beside(2_939, 2_100)), Ok(()));
    assert!(windowed.check(&beside(2_940, 2_100)).is_err());
    let mut classic = holding(RefreshPolicy::Classic, 3_000);
    assert_eq!(classic.check(&beside(2_999, 3_000)), Ok(()));
    assert!(classic.check(&beside(3_001, 3_000)).is_err());
}

#[test]
fn callers_that_wait_together_receive_the_same() {
    let mut model = holding(RefreshPolicy::Classic, 3_000);
    let together = |result| Call {
        served: Served::Shared,
        ..call(0, result, Vec::new())
    };
    assert_eq!(model.check(&together(credentials(3_000))), Ok(()));
    assert!(model.check(&together(credentials(2_999))).is_err());
    assert!(model.check(&together(said(ErrorKind::NoRole))).is_err());
}

#[test]
fn an_error_of_another_kind_is_found() {
    for (status, body, kind) in [
        (403, "", ErrorKind::Forbidden),
        (404, "", ErrorKind::NoRole),
        (418, "", ErrorKind::UnexpectedStatus),
        (429, "", ErrorKind::Throttled),
        (500, "", ErrorKind::Unavailable),
        (503, "", ErrorKind::Throttled),
        (200, "{", ErrorKind::InvalidResponse),
        (200, r#"{"Code":"Failed"}"#, ErrorKind::Refused),
        (
            200,
            &DOCUMENT.replace("2027", "2020").leak()[..],
            ErrorKind::Expired,
        ),
    ] {
        let failed = |kind| call(0, said(kind), vec![exchange(status, body)]);
        let verdict = |kind| model(RefreshPolicy::Classic).check(&failed(kind));
        match kind {
            // The cache extends these credentials, so the call succeeds.
            ErrorKind::Expired => assert_eq!(kinds(&failed(kind), at(0).wall), [kind]),
            _ => assert_eq!(verdict(kind), Ok(()), "{status} {body}"),
        }
        assert!(verdict(ErrorKind::Denied).is_err(), "{status} {body}");
    }
}
