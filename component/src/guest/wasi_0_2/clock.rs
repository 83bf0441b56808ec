//! The clocks of `wasi:clocks`.

use core::time::Duration;

use super::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::guest::nanoseconds;
use crate::ports::Clock;
use crate::time::{Monotonic, UnixTime};

#[derive(Clone, Copy, Debug)]
pub(super) struct WasiClock;

impl Clock for WasiClock {
    fn wall(&self) -> UnixTime {
        let now = wall_clock::now();
        // `Duration::new` panics if the nanoseconds overflow the seconds, and a host may return any
        // value.
        UnixTime::new(
            Duration::from_secs(now.seconds)
                .saturating_add(Duration::from_nanos(now.nanoseconds.into())),
        )
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(Duration::from_nanos(monotonic_clock::now()))
    }

    async fn sleep(&self, time: Duration) {
        monotonic_clock::subscribe_duration(nanoseconds(time)).block();
    }
}
