//! An example of a metadata client to compose with the component. It needs no network.
//!
//! The role name selects its behaviour, because it is the only text that is passed through: `says-…` returns an error,
//! and any other name returns credentials for an hour, with a new access key ID each time.

#[cfg(target_arch = "wasm32")]
mod component;
