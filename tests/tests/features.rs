//! `cargo test --workspace` builds on what `cargo run` built.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// A crate with its version, and the sets of features that it is built with.
type Features = BTreeMap<String, BTreeSet<String>>;

fn tree(arguments: &[&str]) -> Features {
    let output = Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["tree", "--locked", "--offline", "--prefix", "none"])
        .args(["--no-dedupe", "--format", "{p}|{f}"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{:?}", output.stderr);
    let mut features = Features::new();
    for line in text.lines() {
        let Some((package, set)) = line.split_once('|') else {
            continue;
        };
        let set = set.trim_end_matches(" (*)").to_owned();
        features.entry(package.to_owned()).or_default().insert(set);
    }
    features
}

#[test]
fn wasmtime_is_built_once() {
    let wasmtime = [
        "--package=wasmtime",
        "--package=wasmtime-wasi",
        "--package=wasmtime-wasi-http",
        "--edges=normal,build",
    ];
    let run = tree(&["--edges=normal,build"]);
    let test = tree(&["--workspace", "--edges=normal,build,dev"]);
    let mut compared = 0;
    for package in tree(&wasmtime).keys() {
        let (Some(run), Some(test)) = (run.get(package), test.get(package)) else {
            continue;
        };
        compared += 1;
        let missing: Vec<_> = run.difference(test).collect();
        assert!(
            missing.is_empty(),
            "`cargo run` builds {package} with {missing:?}, `cargo test --workspace` with {test:?}: name the features in tests/features/Cargo.toml"
        );
    }
    assert!(compared > 100, "{compared} packages were compared");
}
