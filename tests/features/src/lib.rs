//! Nothing but dependencies.
//!
//! Cargo builds a crate anew for each set of features. The tests ask for features of crates that
//! `cargo run` builds too, so `cargo test --workspace` would build these a second time, wasmtime
//! among them. This package asks for the same features, and is a default member of the workspace: a
//! build without `--package` then shares its artefacts with the whole workspace.
//!
//! `tests/tests/features.rs` compares the two and names what is missing here.

#![forbid(unsafe_code)]
