//! The IMDS client. It knows nothing of credentials.

pub mod client;
pub mod documents;
pub mod endpoint;
pub mod retry;
pub mod session;
