//! The IMDS client. It knows nothing of credentials.

pub mod client;
pub mod endpoint;
pub mod session;
