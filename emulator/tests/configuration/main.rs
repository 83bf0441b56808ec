//! The configuration: its layers, and what is said about one that is not accepted.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

mod errors;
mod keys;
