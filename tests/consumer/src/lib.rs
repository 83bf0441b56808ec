//! An example of a component that uses credentials: it imports
//! `imds:credentials/provider`, signs a request to S3 with the credentials, and sends it.

#[cfg(target_arch = "wasm32")]
mod component;
