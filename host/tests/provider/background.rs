//! Refreshes in the background.

use chrono::TimeDelta;
use ec2_role_host::RefreshPolicy;

use crate::support::{DOCUMENTS, Virtual, builder, count, emulator, until};

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
