//! Refreshes in the background.

use std::time::Duration;

use chrono::TimeDelta;
use ec2_role_host::{Event, RefreshPolicy};
use imds_emulator::Emulator;

use crate::support::{DOCUMENTS, Virtual, broken, builder, count, emulator, until};

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
async fn expired_credentials_are_replaced_within_half_a_minute_of_the_end_of_an_outage() {
    for (policy, random, delay) in [
        (RefreshPolicy::Windowed, 0, 10),
        (RefreshPolicy::Windowed, 255, 30),
        (RefreshPolicy::Classic, 0, 10),
    ] {
        let clock = Virtual::new();
        let hour = TimeDelta::hours(1);
        let imds = Emulator::builder()
            .clock(clock.clock.clone())
            .rotation(hour, hour)
            .start()
            .await
            .unwrap();
        let provider = builder(&imds, &clock)
            .refresh_policy(policy)
            .background_refresh(true)
            .attempts(1)
            .randomness(move |bytes| bytes.fill(random))
            .build()
            .await
            .unwrap();
        let mut events = provider.subscribe();
        let first = provider.credentials().await.unwrap();
        let expires = first.expires().unwrap();
        let outage = imds.fault(broken()).unwrap();
        // A refresh that fails shortly before the expiration makes the component pause beyond it.
        let early = match policy {
            RefreshPolicy::Windowed => TimeDelta::minutes(1),
            _ => TimeDelta::zero(),
        };
        clock.advance(expires - clock.now() - early);
        until(|| matches!(events.try_next(), Some(Event::Extended { .. }))).await;
        clock.advance(early);
        let next = provider.status().next_refresh.unwrap();
        assert!(next > expires + TimeDelta::minutes(3), "{next}");
        let refreshes = provider.status().refreshes;

        // As the provider knows them, after each attempt.
        let lists = || provider.status().requests.role_list;
        for _ in 0..3 {
            let asked = lists();
            clock.advance(TimeDelta::seconds(delay - 1));
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(lists(), asked, "before {delay} s");
            // Nobody waits, and the credentials stay the same.
            assert_eq!(provider.held(), Some(provider.credentials().await.unwrap()));
            clock.advance(TimeDelta::seconds(1));
            until(|| lists() > asked).await;
        }
        assert_eq!(provider.status().refreshes, refreshes);

        outage.heal();
        let key = || provider.held().unwrap().access_key_id().to_owned();
        clock.advance(TimeDelta::seconds(delay));
        until(|| matches!(events.try_next(), Some(Event::Recovered { .. }))).await;
        assert_eq!(provider.status().failing_since, None);
        assert_ne!(key(), first.access_key_id());
        assert!(clock.now() < next);
        assert!(provider.held().unwrap().expires().unwrap() > clock.now());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_imds_issues_once_in_an_outage_is_used() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock)
        .refresh_policy(RefreshPolicy::Windowed)
        .background_refresh(true)
        .attempts(1)
        .randomness(|bytes| bytes.fill(0))
        .build()
        .await
        .unwrap();
    let mut events = provider.subscribe();
    let first = provider.credentials().await.unwrap();
    let outage = imds.fault(broken()).unwrap();
    clock.advance(TimeDelta::minutes(59));
    until(|| matches!(events.try_next(), Some(Event::Extended { .. }))).await;
    outage.heal();
    // The document comes once: the component, which asks again, does not get it.
    let documents = count(&imds, DOCUMENTS);
    let _again = imds
        .fault(broken().on(DOCUMENTS).after_requests(1))
        .unwrap();
    clock.advance(TimeDelta::seconds(70));
    until(|| count(&imds, DOCUMENTS) == documents + 2).await;
    until(|| {
        provider
            .held()
            .is_some_and(|held| held.access_key_id() != first.access_key_id())
    })
    .await;
    let held = provider.credentials().await.unwrap();
    assert_ne!(held.access_key_id(), first.access_key_id());
    assert!(held.expires().unwrap() > clock.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_imds_is_tried_again_too() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let provider = builder(&imds, &clock)
        .background_refresh(true)
        .attempts(1)
        .randomness(|bytes| bytes.fill(255))
        .build()
        .await
        .unwrap();
    let outage = imds.fault(broken()).unwrap();
    provider.credentials().await.unwrap_err();
    assert_eq!(provider.held(), None);
    outage.heal();
    clock.advance(TimeDelta::seconds(30));
    until(|| provider.held().is_some()).await;
}
