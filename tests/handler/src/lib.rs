//! A component that answers each HTTP request with its access key ID, which is not a
//! secret.
//!
//! For hosts that run only components that answer HTTP requests.

#[cfg(target_arch = "wasm32")]
mod component;
