//! A component that fails and is restarted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ec2_role_host::Event;
use ec2_role_host::transport::{Direct, Exchange, Timeouts, Transport};
use imds_emulator::fault::{Fault, Rule};

use crate::support::{Virtual, builder, emulator};

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
