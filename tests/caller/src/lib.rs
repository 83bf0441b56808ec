//! Measures calls for credentials that the provider holds, as an application makes them.

#[cfg(target_arch = "wasm32")]
mod component;
