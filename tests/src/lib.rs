//! Tests of the component, the host and the emulator together, and what they stand on.
//!
//! Nothing here ever sends a request to an address that is not loopback: "no IMDS" is a closed
//! port, and "silence" a listener that does not answer.

#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod fuzz;
pub mod judge;
pub mod loopback;
pub mod report;
pub mod run;
pub mod scenario;
pub mod server;
mod settings;
pub mod simulation;
pub mod soak;
pub mod trace;
