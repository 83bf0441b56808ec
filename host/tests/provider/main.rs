//! The provider, as programs use it, with the emulator as IMDS.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test")]

mod background;
mod callers;
mod kept;
mod outage;
mod replaced;
mod restart;
mod secrets;
mod settings;
mod support;
mod threads;
mod tree;
