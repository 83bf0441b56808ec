//! The clock of the provider and the component.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

/// A clock, for tests that move through time. By default the provider uses the system's clocks.
///
/// The clock decides when credentials are due and how long session tokens last. The component's
/// timeouts and back-off are [`sleep`](Clock::sleep)s on it. The time limit of a call
/// ([`Limits::call`](field@crate::Limits::call)) is independent of it and measures real time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// The time since a fixed moment in the past. It never goes backwards.
    fn monotonic(&self) -> Duration;

    /// Completes when `duration` has passed on the monotonic clock. The future is awaited in the
    /// library's own tokio runtime; a caller's thread may poll it first.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The system's clocks.
#[derive(Debug)]
pub(crate) struct System {
    start: Instant,
}

impl System {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for System {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}
