//! The built-in IMDS client. It reads any metadata and has no code for credentials.

pub mod client;
pub mod documents;
pub mod endpoint;
pub mod retry;
pub mod session;
