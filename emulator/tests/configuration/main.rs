//! The configuration: its layers, and what is said about one that is not accepted.

#![recursion_limit = "256"]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

mod aemm;
mod errors;
#[expect(dead_code, reason = "VALUES is for the tests of the protocol")]
#[path = "../full/mod.rs"]
mod full;
mod keys;
