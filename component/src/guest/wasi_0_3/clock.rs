//! The clocks of `wasi:clocks`.

use core::time::Duration;

use super::bindings::wasi::clocks::{monotonic_clock, system_clock};
use crate::guest::nanoseconds;
use crate::ports::Clock;
use crate::time::{Monotonic, UnixTime};

#[derive(Clone, Copy, Debug)]
pub(super) struct WasiClock;

impl Clock for WasiClock {
    fn wall(&self) -> UnixTime {
        let now = system_clock::now();
        // A time before 1970 becomes 1970: no credentials are older.
        let seconds = u64::try_from(now.seconds).unwrap_or(0);
        UnixTime::new(
            Duration::from_secs(seconds)
                .saturating_add(Duration::from_nanos(now.nanoseconds.into())),
        )
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(Duration::from_nanos(monotonic_clock::now()))
    }

    async fn sleep(&self, time: Duration) {
        monotonic_clock::wait_for(nanoseconds(time)).await;
    }
}
