//! The command `ec2-role-credentials`, as a user runs it.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]
#![cfg(feature = "emulator")]

mod arguments;
mod child;
mod doctor;
mod exec;
mod get;
mod inspect;
mod metadata;
mod process;
mod secrets;
mod serve;
mod server;
mod support;
mod watch;
