//! A component that tries what a sandbox must not let it do.
//!
//! The name of the role says what: it is the one text that a host hands through. `get-credentials`
//! then does it, and says in its error what came of it.

#[cfg(target_arch = "wasm32")]
mod guest;
