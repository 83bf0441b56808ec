//! The provider, as programs use it, with the emulator as IMDS.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use ec2_role_host::transport::{Direct, Exchange, Timeouts, Transport, TransportError};
use ec2_role_host::{
    Builder, Clock, Ec2RoleProvider, Environment, ErrorKind, Event, ImdsVersion, RefreshPolicy,
    Step, wait,
};
use imds_emulator::Emulator;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Filter;
use tokio::task::JoinSet;

const DOCUMENTS: &str = "/latest/meta-data/iam/security-credentials/?*";
const TOKENS: &str = "/latest/api/token";

/// The emulator's clock, for the provider.
#[derive(Clone)]
struct Virtual {
    clock: imds_emulator::Clock,
    /// Set back with it or not, the monotonic clock goes on.
    lag: Arc<std::sync::Mutex<TimeDelta>>,
}

impl Virtual {
    fn new() -> Self {
        Self {
            clock: imds_emulator::Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()),
            lag: Arc::default(),
        }
    }

    fn advance(&self, by: TimeDelta) {
        self.clock.advance(by).unwrap();
    }

    /// Sets the wall clock back.
    fn set_back(&self, by: TimeDelta) {
        *self.lag.lock().unwrap() += by;
        self.clock.advance(-by).unwrap();
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

impl std::fmt::Debug for Virtual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Virtual")
    }
}

impl Clock for Virtual {
    fn now(&self) -> SystemTime {
        self.clock.now().into()
    }

    fn monotonic(&self) -> Duration {
        let lag = *self.lag.lock().unwrap();
        let since = self.clock.now() + lag - DateTime::UNIX_EPOCH;
        since.to_std().unwrap()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        let end = clock.monotonic() + duration;
        Box::pin(async move {
            while clock.monotonic() < end {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    }
}

/// Credentials that rotate every hour, on a virtual clock.
async fn emulator(clock: &Virtual) -> Emulator {
    Emulator::builder()
        .clock(clock.clock.clone())
        .role("the-role")
        .rotation(TimeDelta::hours(1), TimeDelta::hours(6))
        .start()
        .await
        .unwrap()
}

fn builder(imds: &Emulator, clock: &Virtual) -> Builder {
    Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .endpoint(imds.url())
        .clock(clock.clone())
}

fn count(imds: &Emulator, path: &str) -> usize {
    imds.count(&Filter::path(path)).unwrap()
}

fn broken() -> Rule {
    Rule::new("broken", Fault::empty_response())
}

/// Until `condition` holds; a test that waits in vain fails.
async fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not come to pass in ten seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tasks_over_three_rotations_cause_three_refreshes() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock).build().await.unwrap();
    provider.credentials().await.unwrap();
    assert_eq!(count(&imds, DOCUMENTS), 1);

    let stop = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..1000 {
        let (provider, clock, stop, calls) =
            (provider.clone(), clock.clone(), stop.clone(), calls.clone());
        tasks.spawn(async move {
            let mut keys = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let before = clock.now();
                let credentials = provider.credentials().await.unwrap();
                assert!(
                    credentials.expires().unwrap() > before,
                    "expired credentials"
                );
                let key = credentials.access_key_id().to_owned();
                if keys.last() != Some(&key) {
                    keys.push(key);
                }
                calls.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
            keys
        });
    }
    for rotation in 1..=3 {
        let so_far = calls.load(Ordering::SeqCst);
        until(|| calls.load(Ordering::SeqCst) >= so_far + 5000).await;
        clock.advance(TimeDelta::hours(1));
        until(|| count(&imds, DOCUMENTS) == 1 + rotation).await;
    }
    let so_far = calls.load(Ordering::SeqCst);
    until(|| calls.load(Ordering::SeqCst) >= so_far + 5000).await;
    stop.store(true, Ordering::SeqCst);
    for keys in tasks.join_all().await {
        assert!((1..=4).contains(&keys.len()), "{keys:?}");
    }
    assert_eq!(count(&imds, DOCUMENTS), 4);
    assert_eq!(count(&imds, TOKENS), 1);
    assert_eq!(provider.status().refreshes, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_given_until_it_is_due() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock).build().await.unwrap();
    let first = provider.credentials().await.unwrap();
    assert_eq!(first.expires(), Some(clock.now() + TimeDelta::hours(1)));
    clock.advance(TimeDelta::seconds(3599));
    assert_eq!(provider.credentials().await.unwrap(), first);
    assert_eq!(count(&imds, DOCUMENTS), 1);
    clock.advance(TimeDelta::seconds(1));
    let second = provider.credentials().await.unwrap();
    assert_ne!(second.access_key_id(), first.access_key_id());
    assert_eq!(count(&imds, DOCUMENTS), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn windowed_one_waits_and_the_others_go_on_until_the_last_minute() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock)
        .refresh_policy(RefreshPolicy::Windowed)
        .build()
        .await
        .unwrap();
    let first = provider.credentials().await.unwrap();
    // Of one hour, the last quarter is the advisory window.
    clock.advance(TimeDelta::minutes(46));
    let slow = imds
        .fault(Rule::new("slow", Fault::blackhole()).on(DOCUMENTS))
        .unwrap();
    let refresher = tokio::spawn({
        let provider = provider.clone();
        async move { provider.credentials().await }
    });
    until(|| count(&imds, "/latest/meta-data/iam/security-credentials/") == 2).await;
    for _ in 0..10 {
        assert_eq!(provider.credentials().await.unwrap(), first);
    }
    assert!(!refresher.is_finished());

    clock.advance(TimeDelta::minutes(13) + TimeDelta::seconds(1));
    let waiter = tokio::spawn({
        let provider = provider.clone();
        async move { provider.credentials().await }
    });
    slow.heal();
    clock.advance(TimeDelta::seconds(1));
    let (one, other) = (refresher.await.unwrap(), waiter.await.unwrap());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(Arc::ptr_eq(&one, &other), "one refresh for both");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_cancels_nothing() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock).build().await.unwrap();
    let late = Fault::latency(TimeDelta::milliseconds(200));
    let _late = imds.fault(Rule::new("late", late).on(DOCUMENTS)).unwrap();

    let mut impatient = Box::pin(provider.credentials());
    let mut patient = Box::pin(provider.credentials());
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(impatient.as_mut().poll(&mut context).is_pending());
    assert!(patient.as_mut().poll(&mut context).is_pending());
    drop(impatient);
    patient.await.unwrap();
    assert_eq!(count(&imds, DOCUMENTS), 1);

    // No caller waits, and the refresh completes all the same.
    provider.invalidate().await.unwrap();
    let mut alone = Box::pin(provider.credentials());
    assert!(alone.as_mut().poll(&mut context).is_pending());
    drop(alone);
    until(|| provider.status().refreshes == 2).await;
    let Poll::Ready(held) = Box::pin(provider.credentials()).as_mut().poll(&mut context) else {
        panic!("it is held by now");
    };
    held.unwrap();
    assert_eq!(count(&imds, DOCUMENTS), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_given_the_same_error() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock).attempts(1).build().await.unwrap();
    let _fault = imds.fault(broken().on(TOKENS)).unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let provider = provider.clone();
        callers.spawn(async move { provider.credentials().await.unwrap_err() });
    }
    for error in callers.join_all().await {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.is_unavailable() && !error.is_timeout());
        assert_eq!(
            (error.step(), error.attempts()),
            (Some(Step::Token), Some(1))
        );
        assert!(error.elapsed().is_some() && error.remedy().is_some());
    }
    assert_eq!(count(&imds, TOKENS), 1);
    assert_eq!(provider.status().refreshes, 1);
}

#[test]
fn programs_without_a_runtime_can_wait() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock = Virtual::new();
    let imds = runtime.block_on(emulator(&clock));
    let provider = builder(&imds, &clock).build_blocking().unwrap();
    let first = provider.credentials_blocking().unwrap();
    assert_eq!(provider.credentials_blocking().unwrap(), first);
    assert_eq!(wait(provider.metadata().region()).unwrap(), "us-east-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking_inside_a_runtime_does_not_panic() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock).build_blocking().unwrap();
    let first = provider.credentials_blocking().unwrap();
    assert_eq!(provider.credentials().await.unwrap(), first);
}

#[test]
fn a_provider_outlives_the_runtime_that_it_was_built_in() {
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let clock = Virtual::new();
    let imds = elsewhere.block_on(emulator(&clock));
    let provider = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(builder(&imds, &clock).build())
        .unwrap();
    let another = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    another.block_on(provider.credentials()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_or_rejected_is_replaced() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock).build().await.unwrap();
    let first = provider.credentials().await.unwrap();
    imds.rotate_credentials();

    provider.reject("ASIAANOTHER").await.unwrap();
    assert_eq!(provider.credentials().await.unwrap(), first);
    provider.reject(first.access_key_id()).await.unwrap();
    let second = provider.credentials().await.unwrap();
    assert_ne!(second.access_key_id(), first.access_key_id());

    imds.rotate_credentials();
    provider.invalidate().await.unwrap();
    let third = provider.credentials().await.unwrap();
    assert_ne!(third.access_key_id(), second.access_key_id());

    // What was rejected goes on if there are no others; what was forgotten does not.
    let _fault = imds.fault(broken()).unwrap();
    provider.reject(third.access_key_id()).await.unwrap();
    let kept = tokio::spawn({
        let provider = provider.clone();
        async move { provider.credentials().await }
    });
    while !kept.is_finished() {
        // The pauses between attempts.
        clock.advance(TimeDelta::milliseconds(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let kept = kept.await.unwrap().unwrap();
    assert_eq!(kept.access_key_id(), third.access_key_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_from_its_beginning_to_its_end() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock).attempts(1).build().await.unwrap();
    let mut events = provider.subscribe();
    let first = provider.credentials().await.unwrap();
    let Some(Event::Refreshed {
        access_key_id,
        expires,
    }) = events.next().await
    else {
        panic!()
    };
    assert_eq!(access_key_id, first.access_key_id());
    assert_eq!(expires, first.expires());

    clock.advance(TimeDelta::hours(1));
    let outage = imds.fault(broken()).unwrap();
    let kept = provider.credentials().await.unwrap();
    assert_eq!(kept.access_key_id(), first.access_key_id());
    assert!(kept.expires() > first.expires());
    let Some(Event::FailingSince { since, error }) = events.next().await else {
        panic!()
    };
    assert_eq!(since, clock.now());
    assert!(error.is_unavailable());
    let Some(Event::Extended {
        expires,
        extensions,
        cause,
        ..
    }) = events.next().await
    else {
        panic!()
    };
    assert_eq!((expires, extensions), (kept.expires(), 1));
    assert!(cause.unwrap().is_unavailable());
    let status = provider.status();
    assert_eq!((status.extensions, status.failing_since), (1, Some(since)));
    assert_eq!(status.expires, kept.expires());
    assert_eq!(status.document_expires, Some(since + TimeDelta::hours(5)));
    // What is held is given without a request.
    let asked = count(&imds, "/**");
    provider.credentials().await.unwrap();
    assert_eq!(count(&imds, "/**"), asked);

    outage.heal();
    clock.advance(TimeDelta::minutes(15));
    let others = provider.credentials().await.unwrap();
    assert_ne!(others.access_key_id(), first.access_key_id());
    assert!(matches!(events.next().await, Some(Event::Refreshed { .. })));
    let Some(Event::Recovered { since: then }) = events.next().await else {
        panic!()
    };
    assert_eq!(then, since);
    assert!(events.try_next().is_none());
    let status = provider.status();
    assert_eq!(status.failing_since, None);
    assert_eq!(status.imds_version, Some(ImdsVersion::V2));
    assert_eq!(status.role_name.as_deref(), Some("the-role"));
    assert_eq!(
        status.access_key_id.as_deref(),
        Some(others.access_key_id())
    );
    assert_eq!((status.refreshes, status.restarts), (3, 0));
    assert_eq!(status.requests.role_credentials, 2);

    drop(provider);
    assert!(events.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_is_set_back_keeps_nothing() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock).build().await.unwrap();
    provider.credentials().await.unwrap();
    clock.set_back(TimeDelta::minutes(30));
    clock.advance(TimeDelta::minutes(61));
    // By the wall clock there is half an hour left.
    until(|| {
        wait(provider.credentials()).unwrap();
        provider.status().refreshes == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn background_refresh_needs_no_caller() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock)
        .refresh_policy(RefreshPolicy::Windowed)
        .background_refresh(true)
        .build()
        .await
        .unwrap();
    let first = provider.credentials().await.unwrap();
    for refreshes in 2..=4 {
        clock.advance(TimeDelta::minutes(46));
        until(|| provider.status().refreshes == refreshes).await;
    }
    let held = provider.credentials().await.unwrap();
    assert_ne!(held.access_key_id(), first.access_key_id());
    assert_eq!(count(&imds, DOCUMENTS), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_tree_is_there_too() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    imds.change(|config| {
        let user_data = imds_emulator::config::Content::Text("#!/bin/sh\n".into());
        config.instance.user_data = Some(user_data);
        config.instance.detailed_monitoring = true;
    })
    .unwrap();
    let provider = builder(&imds, &clock).build().await.unwrap();
    let metadata = provider.metadata();
    assert_eq!(metadata.get("instance-type").await.unwrap(), "t3.micro");
    let monitoring = metadata.dynamic_data("fws/instance-monitoring").await;
    assert_eq!(monitoring.unwrap(), "enabled");
    assert_eq!(metadata.user_data().await.unwrap(), b"#!/bin/sh\n");
    assert_eq!(metadata.region().await.unwrap(), "us-east-1");
    let document = metadata.identity_document().await.unwrap();
    assert_eq!(document.instance_type, "t3.micro");
    assert_eq!(document.region, "us-east-1");
    let info = metadata.iam_info().await.unwrap();
    assert_eq!(info.code, "Success");
    assert!(info.instance_profile_arn.contains(":instance-profile/"));
    let error = metadata.get("nothing/here").await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert_eq!(
        (error.status(), error.step()),
        (Some(404), Some(Step::Metadata))
    );
    assert_eq!(count(&imds, TOKENS), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_provider_asks_nobody() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let environment = Environment::from_iter([
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url()),
    ]);
    let provider = Ec2RoleProvider::builder()
        .environment(environment)
        .build()
        .await
        .unwrap();
    let error = provider.credentials().await.unwrap_err();
    assert!(error.is_disabled());
    assert!(
        error
            .remedy()
            .unwrap()
            .contains("AWS_EC2_METADATA_DISABLED")
    );
    assert_eq!(count(&imds, "/**"), 0);
}

/// Answers with what it is told to.
#[derive(Debug)]
struct Canned(AtomicUsize);

impl Transport for Canned {
    fn send(&self, request: http::Request<Bytes>, timeouts: Timeouts) -> Exchange {
        self.0.fetch_add(1, Ordering::SeqCst);
        assert_eq!(timeouts.connect, Duration::from_secs(1));
        let body = match request.uri().path() {
            "/latest/api/token" => "token",
            "/latest/meta-data/iam/security-credentials/" => "canned",
            "/latest/meta-data/iam/security-credentials/canned" => {
                r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}"#
            }
            _ => {
                let refused = std::io::ErrorKind::ConnectionRefused.into();
                return Box::pin(async { Err(TransportError::Connect(refused)) });
            }
        };
        Box::pin(async move { Ok(http::Response::new(Bytes::from_static(body.as_bytes()))) })
    }
}

#[test]
fn the_transport_can_be_replaced() {
    let provider = Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .transport(Canned(AtomicUsize::new(0)))
        .randomness(|bytes| bytes.fill(0))
        .attempts(1)
        .build_blocking()
        .unwrap();
    // The endpoint is the default one. The transport answers without opening a connection.
    let credentials = provider.credentials_blocking().unwrap();
    assert_eq!(credentials.access_key_id(), "id");
    let error = wait(provider.metadata().get("other")).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[test]
fn randomness_can_be_replaced() {
    let extension = |random: u8| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let clock = Virtual::new();
        let imds = runtime.block_on(emulator(&clock));
        let provider = builder(&imds, &clock)
            .attempts(1)
            .randomness(move |bytes| bytes.fill(random))
            .build_blocking()
            .unwrap();
        provider.credentials_blocking().unwrap();
        clock.advance(TimeDelta::hours(1));
        let _fault = imds.fault(broken()).unwrap();
        let kept = provider.credentials_blocking().unwrap();
        (kept.expires().unwrap() - clock.now()).num_seconds()
    };
    // Five to fifteen minutes [B4.6].
    assert_eq!(extension(0), 300);
    assert_eq!(extension(255), 899);
}

#[test]
fn wrong_settings_are_named() {
    let builder = || Ec2RoleProvider::builder().environment(Environment::empty());
    for (builder, message) in [
        (
            builder().endpoint("https://127.0.0.1"),
            "the endpoint is \"https://127.0.0.1\"; accepted: http://HOST",
        ),
        (
            builder().read_timeout(Duration::ZERO),
            "option read-timeout is \"0\"; accepted: 1 to 60000 milliseconds",
        ),
        (
            builder().token_ttl(Duration::from_secs(21_601)),
            "option token-ttl is \"21601\"; accepted: 1 to 21600 seconds",
        ),
        (builder().attempts(11), "option attempts is \"11\""),
        (
            builder().expiry_window_jitter(101),
            "option expiry-window-jitter is \"101\"",
        ),
    ] {
        let error = builder.build_blocking().unwrap_err();
        assert!(error.is_invalid_configuration(), "{error:?}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn no_secret_is_shown() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock = Virtual::new();
    let imds = runtime.block_on(emulator(&clock));
    let provider = builder(&imds, &clock).build_blocking().unwrap();
    let credentials = provider.credentials_blocking().unwrap();
    let shown = format!("{credentials:?} {provider:?} {:?}", provider.status());
    assert!(shown.contains(credentials.access_key_id()), "{shown}");
    assert!(!shown.contains(credentials.secret_access_key()), "{shown}");
    assert!(
        !shown.contains(&credentials.session_token().unwrap()[..20]),
        "{shown}"
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_kept_outlive_the_process() {
    use std::os::unix::fs::PermissionsExt as _;

    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    // As after a start of the process.
    let fresh = async |role: Option<&str>| {
        let builder = builder(&imds, &clock).attempts(1).keep_credentials(&kept);
        let builder = match role {
            Some(role) => builder.role_name(role),
            None => builder,
        };
        builder.build().await.unwrap()
    };
    let first = fresh(None).await.credentials().await.unwrap();
    let files: Vec<_> = std::fs::read_dir(&kept).unwrap().collect();
    let [file] = files.try_into().unwrap();
    let mode = file.unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let outage = imds.fault(broken()).unwrap();
    clock.advance(TimeDelta::hours(2));
    let provider = fresh(None).await;
    let mut events = provider.subscribe();
    let held = provider.credentials().await.unwrap();
    assert_eq!(held.access_key_id(), first.access_key_id());
    assert_eq!(held.secret_access_key(), first.secret_access_key());
    assert_eq!(held.session_token(), first.session_token());
    assert_eq!(held.expires(), Some(clock.now() + TimeDelta::hours(1)));
    assert!(matches!(
        events.next().await,
        Some(Event::FailingSince { .. })
    ));
    assert!(matches!(events.next().await, Some(Event::Extended { .. })));
    // Another role's are not these.
    assert!(fresh(Some("another")).await.credentials().await.is_err());
    // IMDS is asked again soon, and answers.
    outage.heal();
    clock.advance(TimeDelta::seconds(31));
    let second = provider.credentials().await.unwrap();
    assert_ne!(second.access_key_id(), first.access_key_id());
    let end = provider.status().document_expires.unwrap();

    // What was rejected is not kept, nor what IMDS says there is not, nor what has ended.
    let outage = imds.fault(broken()).unwrap();
    fresh(None)
        .await
        .reject(first.access_key_id())
        .await
        .unwrap();
    assert!(fresh(None).await.credentials().await.is_ok());
    outage.heal();
    let role = imds.config().instance.iam;
    imds.change(|config| config.instance.iam = None).unwrap();
    let error = fresh(None).await.credentials().await.unwrap_err();
    assert!(error.is_no_role(), "{error:?}");
    imds.change(|config| config.instance.iam = role).unwrap();
    let _outage = imds.fault(broken()).unwrap();
    clock.advance(end - clock.now() - TimeDelta::seconds(1));
    assert!(fresh(None).await.credentials().await.is_ok());
    clock.advance(TimeDelta::seconds(1));
    assert!(fresh(None).await.credentials().await.is_err());
}

/// Panics once.
#[derive(Debug)]
struct Clumsy(AtomicBool);

impl Transport for Clumsy {
    fn send(&self, request: http::Request<Bytes>, timeouts: Timeouts) -> Exchange {
        assert!(
            self.0.swap(true, Ordering::SeqCst),
            "a panic of the test's own"
        );
        Direct.send(request, timeouts)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_that_panics_is_an_error_and_the_next_call_succeeds() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let builder = builder(&imds, &clock).transport(Clumsy(AtomicBool::new(false)));
    let provider = builder.build().await.unwrap();
    let error = provider.credentials().await.unwrap_err();
    assert!(error.is_component(), "{error:?}");
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(provider.status().failing_since.is_some());
    provider.credentials().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_after_a_restart_is_told_and_kept() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let folder = tempfile::tempdir().unwrap();
    let mut limits = ec2_role_host::Limits::default();
    limits.call = Some(Duration::from_millis(500));
    let provider = builder(&imds, &clock)
        .limits(limits)
        .keep_credentials(folder.path().join("kept"))
        .build()
        .await
        .unwrap();
    provider.credentials().await.unwrap();
    provider.invalidate().await.unwrap();
    let outage = imds
        .fault(Rule::new("silence", Fault::blackhole()))
        .unwrap();
    let mut events = provider.subscribe();
    assert!(provider.credentials().await.unwrap_err().is_component());
    outage.heal();
    let credentials = provider.credentials().await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.try_next() {
        seen.push(match event {
            Event::Restarted { .. } => "restarted",
            Event::FailingSince { .. } => "failing",
            Event::Refreshed { access_key_id, .. } => {
                assert_eq!(access_key_id, credentials.access_key_id());
                "refreshed"
            }
            Event::Recovered { .. } => "recovered",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["restarted", "failing", "refreshed", "recovered"]);
    assert_eq!(folder.path().join("kept").read_dir().unwrap().count(), 1);
}
