//! What the logic's own tests show natively, shown of the component: session, repetitions, refresh,
//! on real sockets and real clocks.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use ec2_role_host::{Builder, Ec2RoleProvider, ErrorKind, Imdsv1Policy, RefreshPolicy};
use imds_conformance::loopback::Scripted;
use imds_emulator::Emulator;

/// Long enough for a busy machine: these tests are not about time-outs.
fn patient(endpoint: &str) -> Builder {
    let patient = Duration::from_secs(30);
    Ec2RoleProvider::builder()
        .endpoint(endpoint)
        .connect_timeout(patient)
        .read_timeout(patient)
        .operation_timeout(patient)
}

fn response(head: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn status(status: &str) -> Vec<u8> {
    response(status, "")
}

fn token() -> Vec<u8> {
    response(
        "200 OK\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600",
        "the-token",
    )
}

/// The first lines of the requests, without the version, and whether they had a token.
fn lines(imds: &Scripted) -> Vec<String> {
    let line = |request: &String| {
        let (line, headers) = request.split_once(" HTTP/1.1\r\n").unwrap();
        let with = headers.to_lowercase().contains("x-aws-ec2-metadata-token:");
        format!("{line}{}", if with { " with a token" } else { "" })
    };
    imds.requests().iter().map(line).collect()
}

#[tokio::test]
async fn requests_that_may_succeed_later_are_repeated_after_a_pause() {
    let imds = Scripted::start([
        status("500 Internal Server Error"),
        token(),
        status("503 Service Unavailable\r\nRetry-After: 1"),
        Vec::new(),
        response("200 OK", "t3.micro"),
    ])
    .await
    .unwrap();
    let provider = patient(&imds.url()).build().await.unwrap();
    let began = Instant::now();
    assert_eq!(
        provider.metadata().get("instance-type").await.unwrap(),
        "t3.micro"
    );
    // At least 250 ms, one second, and 500 ms.
    assert!(
        began.elapsed() >= Duration::from_millis(1750),
        "{:?}",
        began.elapsed()
    );
    let path = "GET /latest/meta-data/instance-type with a token";
    assert_eq!(
        lines(&imds),
        [
            "PUT /latest/api/token",
            "PUT /latest/api/token",
            path,
            path,
            path
        ]
    );
}

#[tokio::test]
async fn one_attempt_is_one_request() {
    let imds = Scripted::start([status("500 Internal Server Error"), token()])
        .await
        .unwrap();
    let provider = patient(&imds.url()).attempts(1).build().await.unwrap();
    let error = provider.credentials().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.attempts()),
        (ErrorKind::Unavailable, Some(1))
    );
    assert_eq!(lines(&imds).len(), 1);
}

#[tokio::test]
async fn imdsv1_is_used_where_it_is_allowed_and_a_401_ends_it() {
    let refusal = || status("403 Forbidden");
    let imds = Scripted::start([
        refusal(),
        response("200 OK", "one"),
        response("200 OK", "two"), // without a token
        status("401 Unauthorized"),
        token(),
        response("200 OK", "three"), // with one again
    ])
    .await
    .unwrap();
    let provider = patient(&imds.url())
        .imdsv1(Imdsv1Policy::OnRefusal)
        .build()
        .await
        .unwrap();
    for body in ["one", "two", "three"] {
        assert_eq!(provider.metadata().get("x").await.unwrap(), body);
    }
    let path = "GET /latest/meta-data/x";
    let put = "PUT /latest/api/token";
    assert_eq!(
        lines(&imds),
        [put, path, path, path, put, &format!("{path} with a token")]
    );

    let imds = Scripted::start([refusal(), response("200 OK", "one")])
        .await
        .unwrap();
    let provider = patient(&imds.url()).build().await.unwrap();
    let error = provider.metadata().get("x").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Forbidden, Some(403))
    );
    assert_eq!(lines(&imds), [put]);
}

#[tokio::test]
async fn a_refusal_of_the_role_is_an_error_with_its_code() {
    let document =
        r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role x."}"#;
    let imds = Scripted::start([
        token(),
        response("200 OK", "x"),
        response("200 OK", document),
    ])
    .await
    .unwrap();
    let error = patient(&imds.url())
        .build()
        .await
        .unwrap()
        .credentials()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.code(), Some("AssumeRoleUnauthorizedAccess"));
    assert!(
        error.to_string().contains("EC2 cannot assume the role x."),
        "{error}"
    );
    assert!(
        error
            .remedy()
            .is_some_and(|remedy| remedy.contains("trust policy"))
    );
}

#[tokio::test]
async fn a_rotation_is_seen_when_the_old_credentials_end() {
    let imds = Emulator::builder()
        .rotation(TimeDelta::seconds(1), TimeDelta::seconds(3))
        .start()
        .await
        .unwrap();
    let provider = patient(imds.url()).build().await.unwrap();
    let first = provider.credentials().await.unwrap();
    let began = Instant::now();
    let second = loop {
        let now = provider.credentials().await.unwrap();
        assert!(now.expires().unwrap() > Utc::now() - TimeDelta::seconds(1));
        if now.access_key_id() != first.access_key_id() {
            break now;
        }
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        Utc::now() >= first.expires().unwrap(),
        "not before they ended"
    );
    assert!(second.expires() > first.expires());
}

#[tokio::test]
async fn with_imds_gone_both_policies_go_on_with_what_they_have() {
    for policy in [RefreshPolicy::Classic, RefreshPolicy::Windowed] {
        let imds = Emulator::builder()
            .rotation(TimeDelta::hours(1), TimeDelta::seconds(2))
            .start()
            .await
            .unwrap();
        let provider = Ec2RoleProvider::builder()
            .endpoint(imds.url())
            .attempts(1)
            .refresh_policy(policy)
            .build()
            .await
            .unwrap();
        let first = provider.credentials().await.unwrap();
        imds.stop().await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let kept = provider.credentials().await.unwrap();
        assert_eq!(kept.access_key_id(), first.access_key_id(), "{policy:?}");
        let left = kept.expires().unwrap() - Utc::now();
        match policy {
            RefreshPolicy::Classic => {
                assert!(
                    left > TimeDelta::seconds(290) && left < TimeDelta::minutes(15),
                    "{left}"
                );
            }
            _ => assert_eq!(kept.expires(), first.expires()),
        }
    }
}

#[tokio::test]
async fn a_rejected_key_is_replaced() {
    let clock = imds_emulator::Clock::manual(Utc::now());
    let imds = Emulator::builder()
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let provider = patient(imds.url()).build().await.unwrap();
    let first = provider.credentials().await.unwrap();
    clock.advance(TimeDelta::hours(1)).unwrap();
    provider.reject("ASIASOMEOTHERKEY").await.unwrap();
    assert_eq!(*provider.credentials().await.unwrap(), *first);
    provider.reject(first.access_key_id()).await.unwrap();
    assert_ne!(
        provider.credentials().await.unwrap().access_key_id(),
        first.access_key_id()
    );
}
