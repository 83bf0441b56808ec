//! What an outage of IMDS and a clock that is set back do.

use chrono::TimeDelta;
use ec2_role_host::{Event, ImdsVersion, wait};

use crate::support::{Virtual, broken, builder, count, emulator, until};

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
