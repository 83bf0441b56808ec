//! A component that attempts what a sandbox must prevent.
//!
//! The role name selects the attempt, because it is the only text that a host passes through.
//! `get-credentials` makes the attempt, and its error states the result.

#[cfg(target_arch = "wasm32")]
mod guest;
