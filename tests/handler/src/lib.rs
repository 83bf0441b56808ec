//! A component that answers each HTTP request with the id of the access key that it was given. That is no
//! secret.
//!
//! For hosts that run nothing but what answers HTTP requests.

#[cfg(target_arch = "wasm32")]
mod component;
