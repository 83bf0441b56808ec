//! A metadata client of one's own, to compose with the component: it needs no network.
//!
//! The role says what it does, for that is the one text that comes through: `says-…` gives an error, and any
//! other has credentials for an hour, with a new key id each time.

#[cfg(target_arch = "wasm32")]
mod component;
