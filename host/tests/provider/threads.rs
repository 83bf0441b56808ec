//! On which threads calls run: on the caller's, unless they have to wait.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use ec2_role_host::Clock;
use ec2_role_host::transport::{Direct, Exchange, Timeouts, Transport};

use crate::support::{Virtual, builder, emulator, until};

/// The output of a call that waits for no other thread. A machine that is busy may interrupt the
/// component, so that the call has to wait all the same, but not each time.
fn at_once<F: Future>(call: impl Fn() -> F) -> F::Output {
    for _ in 0..20 {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = pin!(call()).poll(&mut context) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    panic!("it waits each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_request_waits_for_no_other_thread() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    // The first provider compiles the component.
    builder(&imds, &clock).build().await.unwrap();
    let provider = at_once(|| builder(&imds, &clock).build()).unwrap();
    let held = provider.credentials().await.unwrap();
    at_once(|| provider.reject("ASIAANOTHER")).unwrap();
    assert_eq!(at_once(|| provider.credentials()).unwrap(), held);
    at_once(|| provider.invalidate()).unwrap();
    assert_eq!(provider.held(), None);
}

/// By this clock, everything is due to those who read it the next few times.
#[derive(Debug)]
struct Ahead {
    clock: Virtual,
    reads: Arc<AtomicUsize>,
}

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        let now: SystemTime = self.clock.now().into();
        let less = |reads: usize| reads.checked_sub(1);
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        match self.reads.fetch_update(set, get, less) {
            Ok(_) => now + Duration::from_secs(24 * 3600),
            Err(_) => now,
        }
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.clock.sleep(duration)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_component_holds_is_no_news() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let reads = Arc::new(AtomicUsize::new(0));
    let ahead = Ahead {
        clock: clock.clone(),
        reads: Arc::clone(&reads),
    };
    let provider = builder(&imds, &clock).clock(ahead).build().await.unwrap();
    let mut events = provider.subscribe();
    let first = provider.credentials().await.unwrap();
    assert!(events.try_next().is_some());
    let status = serde_json::to_value(provider.status()).unwrap();

    // The snapshot is due at both looks at it, and the component is asked.
    reads.store(2, Ordering::SeqCst);
    let again = provider.credentials().await.unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 0);
    assert_eq!(again, first);
    assert!(events.try_next().is_none());
    assert_eq!(serde_json::to_value(provider.status()).unwrap(), status);

    // Once the promise of the component is over, its status may have changed.
    clock.advance(chrono::TimeDelta::hours(1));
    let second = provider.credentials().await.unwrap();
    assert_ne!(second.access_key_id(), first.access_key_id());
    assert_eq!(provider.status().refreshes, 2);
}

/// Counts its clones.
#[derive(Clone, Debug)]
struct Counted(Arc<()>);

impl Transport for Counted {
    fn send(&self, request: http::Request<bytes::Bytes>, timeouts: Timeouts) -> Exchange {
        Direct.send(request, timeouts)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_handle_takes_the_instance_with_it() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let counted = Counted(Arc::new(()));
    let provider = builder(&imds, &clock).transport(counted.clone());
    let provider = provider.build().await.unwrap();
    provider.credentials().await.unwrap();
    let other = provider.clone();
    drop(provider);
    other.credentials().await.unwrap();
    assert!(Arc::strong_count(&counted.0) > 1);
    drop(other);
    until(|| Arc::strong_count(&counted.0) == 1).await;
}
