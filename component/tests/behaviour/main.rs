//! What the component does, rule by rule of `docs/behaviour.md`, through the public door of the
//! logic: natively, on a manual clock, with an IMDS that is a function.

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
