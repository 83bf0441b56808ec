//! Many callers, on any runtime or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::TimeDelta;
use ec2_role_host::{ErrorKind, RefreshPolicy, Step, wait};
use imds_emulator::fault::{Fault, Rule};
use tokio::task::JoinSet;

use crate::support::{DOCUMENTS, TOKENS, Virtual, broken, builder, count, emulator, until};

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
    assert_eq!(one, other);
    // The journal has a request a moment after its response has arrived.
    until(|| count(&imds, DOCUMENTS) >= 2).await;
    assert_eq!(count(&imds, DOCUMENTS), 2, "one refresh for both");
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
