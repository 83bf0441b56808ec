//! A component that uses credentials, as somebody else would write it: it imports
//! `imds:credentials/provider`, signs a request to S3 with what that gives, and sends it.

#[cfg(target_arch = "wasm32")]
mod component;
