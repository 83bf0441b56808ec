//! Nothing but dependencies.
//!
//! Cargo compiles a crate once for each set of features that is selected. The tests enable features
//! that `cargo run` does not need, so `cargo test --workspace` would compile wasmtime and other crates
//! a second time. This package enables the same features and is a default member of the workspace:
//! builds without `--package` therefore reuse what a build of the whole workspace compiled. It leaves out
//! features that need further crates, because a newcomer's first command would compile these.
//!
//! `tests/tests/features.rs` compares the two and names what is missing here.

#![forbid(unsafe_code)]
