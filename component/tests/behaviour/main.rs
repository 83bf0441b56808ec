//! Tests of the rules in `docs/behaviour.md` through the public API of the logic: natively, with a
//! manual clock, and with a function as IMDS.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod cache;
mod client;
mod custom_client;
mod documents;
mod errors;
mod go;
mod properties;
mod provider;
mod settings;
mod support;
mod values;
