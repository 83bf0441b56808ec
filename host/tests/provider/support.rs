//! What the tests of the provider share: the emulator as IMDS, on a virtual clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use ec2_role_host::{Builder, Clock, Ec2RoleProvider, Environment};
use imds_emulator::Emulator;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Filter;

pub(crate) const DOCUMENTS: &str = "/latest/meta-data/iam/security-credentials/?*";
pub(crate) const TOKENS: &str = "/latest/api/token";

/// The emulator's clock, for the provider.
#[derive(Clone)]
pub(crate) struct Virtual {
    pub(crate) clock: imds_emulator::Clock,
    /// Set back with it or not, the monotonic clock goes on.
    lag: Arc<std::sync::Mutex<TimeDelta>>,
}

impl Virtual {
    pub(crate) fn new() -> Self {
        Self {
            clock: imds_emulator::Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()),
            lag: Arc::default(),
        }
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        self.clock.advance(by).unwrap();
    }

    /// Sets the wall clock back.
    pub(crate) fn set_back(&self, by: TimeDelta) {
        *self.lag.lock().unwrap() += by;
        self.clock.advance(-by).unwrap();
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
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
pub(crate) async fn emulator(clock: &Virtual) -> Emulator {
    Emulator::builder()
        .clock(clock.clock.clone())
        .role("the-role")
        .rotation(TimeDelta::hours(1), TimeDelta::hours(6))
        .start()
        .await
        .unwrap()
}

pub(crate) fn builder(imds: &Emulator, clock: &Virtual) -> Builder {
    Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .endpoint(imds.url())
        .clock(clock.clone())
}

pub(crate) fn count(imds: &Emulator, path: &str) -> usize {
    imds.count(&Filter::path(path)).unwrap()
}

pub(crate) fn broken() -> Rule {
    Rule::new("broken", Fault::empty_response())
}

/// Until `condition` holds; a test that waits in vain fails.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not come to pass in ten seconds");
}
