//! Nothing but dependencies.
//!
//! Cargo builds a crate anew for each set of features. Some libraries of the tests ask for features
//! of crates that wasmtime depends on, so `cargo test --workspace` would build wasmtime a second
//! time after `cargo run`. This package asks for the same features, and is a default member of the
//! workspace: a build without `--package` then shares its artefacts with the whole workspace.
//!
//! `tests/tests/features.rs` compares the two and names what is missing here.

#![forbid(unsafe_code)]
