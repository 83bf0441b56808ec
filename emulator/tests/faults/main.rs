//! Every fault, every matcher and every condition, as bytes on a socket or as its end.

#![expect(clippy::unwrap_used, reason = "a test")]
#![allow(
    dead_code,
    reason = "the bench is shared with the tests of the protocol"
)]

mod alone;
#[path = "../protocol/bench.rs"]
mod bench;
mod http;
mod instance;
mod presets;
mod rules;
mod table;
mod transport;
