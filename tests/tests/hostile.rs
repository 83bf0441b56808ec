//! A hostile component in the host's sandbox: it neither hangs nor kills the host, nor reaches
//! anything.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "support/build.rs"]
mod build;

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ec2_role_host::{Builder, Ec2RoleProvider, Environment, Error, ErrorKind, Event, Limits};
use imds_conformance::loopback::Silent;
use imds_emulator::Emulator;
use imds_emulator::journal::Filter;

/// As long as a call may take that has no end. An honest one that is made within it has to be
/// done by then too, on the busiest of machines.
const BOUND: Duration = Duration::from_secs(1);

/// The component in `tests/hostile`, built where the host builds the good one.
static HOSTILE: LazyLock<Vec<u8>> = LazyLock::new(|| build::component("hostile-component"));

fn builder(endpoint: &str, attempt: &str) -> Builder {
    Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .component(HOSTILE.clone())
        // It is compiled once, and not for each test.
        .compiled_cache(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"))
        .endpoint(endpoint)
        .role_name(attempt)
}

fn bounded(attempt: &str) -> Builder {
    let mut limits = Limits::default();
    limits.call = Some(BOUND);
    builder(NOWHERE, attempt).limits(limits)
}

/// Nothing is listened to there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// What comes of an attempt, within reasonable time.
async fn attempt(builder: Builder, attempt: &str) -> Error {
    let provider = builder.build().await.unwrap();
    let start = Instant::now();
    let error = provider.credentials().await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(30), "{attempt}");
    if error.kind() == ErrorKind::Component {
        assert_eq!(provider.status().restarts, 1, "{attempt}: {error:?}");
    }
    // The host lives, and so does the next instance.
    let again = provider.metadata().get("x").await.unwrap();
    assert_eq!(again, "still here", "{attempt}");
    error
}

#[tokio::test]
async fn a_call_without_an_end_is_given_up() {
    for endless in ["loop", "sleep", "poll"] {
        let error = attempt(bounded(endless), endless).await;
        assert_eq!(error.kind(), ErrorKind::Component, "{endless}");
        assert_eq!(
            error.to_string(),
            "the component did not return within 1s",
            "{endless}"
        );
    }
    let error = bounded("configure").build().await.unwrap_err();
    assert!(error.is_component(), "{error:?}");
}

#[tokio::test]
async fn others_go_on_meanwhile() {
    let looping = bounded("loop").build().await.unwrap();
    let other = builder(NOWHERE, "nothing").build().await.unwrap();
    let looping = tokio::spawn(async move { looping.credentials().await });
    let mut calls = 0;
    while !looping.is_finished() {
        other.metadata().get("x").await.unwrap();
        calls += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(calls > 5, "{calls}");
}

#[tokio::test]
async fn memory_handles_headers_and_the_stack_are_bounded() {
    for (hog, trap) in [
        ("memory", "wasm `unreachable` instruction executed"),
        ("handles", "resource table has no free keys"),
        ("headers", "total size of fields exceeds limit"),
        ("random", "the component requested 1073741824 random bytes"),
        ("recursion", "memory fault"),
    ] {
        let error = attempt(builder(NOWHERE, hog), hog).await;
        assert_eq!(error.kind(), ErrorKind::Component, "{hog}: {error:?}");
        let chain = format!("{error:#}");
        assert!(
            chain.starts_with("the component trapped: "),
            "{hog}: {chain}"
        );
        assert!(chain.contains(trap), "{hog}: {chain}");
    }
}

#[tokio::test]
async fn what_a_call_copies_to_the_host_is_bounded() {
    let mut limits = Limits::default();
    limits.memory = 16 * 1024 * 1024;
    let provider = builder(NOWHERE, "answer").limits(limits).build().await;
    let error = provider.unwrap().credentials().await.unwrap_err();
    assert!(error.is_component(), "{error:?}");
    let chain = format!("{error:#}");
    assert!(chain.contains("fuel allocated for hostcalls"), "{chain}");
}

#[tokio::test]
async fn no_request_leaves_but_those_to_the_endpoint() {
    let imds = Emulator::builder().start().await.unwrap();
    let another = Silent::start().await.unwrap();
    let endpoint = imds.url().strip_prefix("http://").unwrap();
    let other = another.url();
    let other = other.strip_prefix("http://").unwrap();
    let port = endpoint.rsplit(':').next().unwrap();
    for (method, scheme, authority, path) in [
        ("GET", "http", other, "/latest/meta-data/"),
        ("PUT", "http", other, "/latest/api/token"),
        ("GET", "https", endpoint, "/latest/meta-data/"),
        ("GET", "ftp", endpoint, "/latest/meta-data/"),
        ("POST", "http", endpoint, "/latest/api/token"),
        ("DELETE", "http", endpoint, "/latest/api/token"),
        ("CONNECT", "http", endpoint, "/latest/api/token"),
        ("GET", "http", endpoint, "/"),
        ("GET", "http", endpoint, "/latest/../admin"),
        (
            "GET",
            "http",
            &format!("user@{endpoint}"),
            "/latest/meta-data/",
        ),
        (
            "GET",
            "http",
            &format!("localhost:{port}"),
            "/latest/meta-data/",
        ),
        (
            "GET",
            "http",
            &format!("[::ffff:127.0.0.1]:{port}"),
            "/latest/meta-data/",
        ),
        (
            "GET",
            "http",
            &format!("2130706433:{port}"),
            "/latest/meta-data/",
        ),
        // In absolute form, the target would name another host to whom it is sent.
        (
            "GET",
            "http",
            endpoint,
            &format!("http://{other}/latest/meta-data/"),
        ),
        (
            "GET",
            "http",
            endpoint,
            &format!("//{other}/latest/meta-data/"),
        ),
    ] {
        let words = format!("request {method} {scheme} {authority} {path}");
        let error = attempt(builder(imds.url(), &words), &words)
            .await
            .to_string();
        let refusals = [
            "ErrorCode::HttpRequestDenied",
            // Before it comes to the policy.
            "ErrorCode::HttpProtocolError",
            "not a path",
            "not an authority",
        ];
        assert!(refusals.contains(&error.as_str()), "{words}: {error}");
    }
    assert_eq!(another.connections(), 0);
    assert_eq!(imds.count(&Filter::path("/**")).unwrap(), 0);

    let words = format!("request GET http {endpoint} /latest/meta-data/");
    let error = attempt(builder(imds.url(), &words), &words).await;
    assert_eq!(error.to_string(), "status 401", "with an invalid token");
}

#[tokio::test]
async fn a_body_without_an_end_is_not_sent() {
    let imds = Emulator::builder().start().await.unwrap();
    let error = attempt(builder(imds.url(), "body"), "body")
        .await
        .to_string();
    assert!(error.contains("HttpRequestBodySize"), "{error}");
    assert_eq!(imds.count(&Filter::path("/**")).unwrap(), 0);
}

#[tokio::test]
async fn who_imports_more_is_refused_with_what_it_wanted() {
    let component = wat::parse_str(
        r#"(component
            (import "wasi:filesystem/types@0.2.12" (instance))
            (import "wasi:clocks/wall-clock@0.2.12" (instance))
            (import "wasi:sockets/tcp@0.2.12" (instance)))"#,
    );
    let error = Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .component(component.unwrap())
        .build()
        .await
        .unwrap_err();
    assert!(error.is_component());
    assert_eq!(
        error.to_string(),
        "the component imports interfaces that the sandbox does not provide: wasi:filesystem/types@0.2.12, wasi:sockets/tcp@0.2.12"
    );
}

#[tokio::test]
async fn a_component_without_the_exports_is_refused() {
    for (text, message) in [
        (
            "(component)",
            "the component does not match the interfaces of the sandbox",
        ),
        ("(module)", "cannot compile the component"),
    ] {
        let error = Ec2RoleProvider::builder()
            .environment(Environment::empty())
            .component(wat::parse_str(text).unwrap())
            .build()
            .await
            .unwrap_err();
        assert!(error.is_component());
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn credentials_outlive_the_instance_that_gave_them() {
    let provider = bounded("credentials-once").build().await.unwrap();
    let mut events = provider.subscribe();
    let first = provider.credentials().await.unwrap();
    // They are due at once, and now the component runs in circles.
    let kept = provider.credentials().await.unwrap();
    assert_eq!(kept, first);
    let Some(Event::Restarted { error }) = events.next().await else {
        panic!()
    };
    assert!(error.is_component());
    assert!(matches!(
        events.next().await,
        Some(Event::FailingSince { .. })
    ));
    assert!(matches!(events.next().await, Some(Event::Extended { .. })));
    assert_eq!(provider.status().restarts, 1);
}
