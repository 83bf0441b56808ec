//! The component: its exports, and the ports on WASI. A component instance holds one
//! [`Instance`](crate::instance::Instance).

use core::time::Duration;

mod convert;
#[cfg(not(feature = "custom-client"))]
mod http;
mod random;
#[cfg(not(feature = "wasi-0-3"))]
mod wasi_0_2;
#[cfg(feature = "wasi-0-3")]
mod wasi_0_3;

#[cfg(not(feature = "wasi-0-3"))]
use wasi_0_2::bindings;
#[cfg(feature = "wasi-0-3")]
use wasi_0_3::bindings;

#[cfg(all(feature = "custom-client", feature = "wasi-0-3"))]
compile_error!("the features custom-client and wasi-0-3 are mutually exclusive");

/// A duration in nanoseconds, as WASI counts it; the longest possible one if it is too long.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
