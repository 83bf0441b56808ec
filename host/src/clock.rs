//! The clock that the provider and the component go by.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

/// A clock, for tests that move through time. Without one the provider goes by the system's.
///
/// Everything goes by it: when credentials are due, the life of session tokens, and the component's
/// own time-outs and pauses, which are [`sleep`](Clock::sleep). The time-outs of the sandbox
/// ([`Limits`](crate::Limits)) do not: they are about how long the processor is kept busy.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// The time since some moment in the past. Never goes back.
    fn monotonic(&self) -> Duration;

    /// Comes to its end when `duration` has passed on the monotonic clock. It is awaited on the
    /// library's own tokio runtime.
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
