//! The conformance suite for IMDS clients and servers, and the tests of the component, the host and the emulator
//! together.
//!
//! Apart from a server that the user names, all requests go to loopback addresses: a missing IMDS is a port without a
//! listener, and an IMDS that does not respond is a listener that never answers.

#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod fuzz;
pub mod judge;
pub mod loopback;
#[cfg(target_os = "linux")]
pub mod programs;
pub mod report;
pub mod run;
pub mod scenario;
pub mod server;
mod settings;
pub mod simulation;
pub mod soak;
