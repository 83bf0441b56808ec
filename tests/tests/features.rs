//! `cargo run` and commands with `--workspace` build on what the other built.

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

/// Crates that `cargo run` builds with fewer features. With `aws-sdk`, `tests/features` would take
/// away the check of the host without its optional features. Those of the other two need further
/// crates, which a newcomer's first command would compile.
const FEWER: [&str; 3] = ["ec2-role-host ", "imds-emulator ", "zerocopy "];

/// Crates that `cargo run` does not need, and does not build.
const UNNEEDED: [&str; 4] = [
    "imds-isolation ",
    "maud ",
    "netlink-packet-route ",
    "zerocopy-derive ",
];

#[test]
fn every_crate_is_built_once() {
    let run = tree(&["--edges=normal,build"]);
    let all = tree(&["--workspace", "--edges=normal,build,dev"]);
    let mut compared = 0;
    for (package, run) in run {
        let Some(all) = all.get(&package) else {
            continue;
        };
        assert!(
            !UNNEEDED.iter().any(|name| package.starts_with(name)),
            "`cargo run` builds {package}, which it does not need"
        );
        if FEWER.iter().any(|name| package.starts_with(name)) {
            continue;
        }
        compared += 1;
        let missing: Vec<_> = run.difference(all).collect();
        assert!(
            missing.is_empty(),
            "`cargo run` builds {package} with {missing:?}, the whole workspace with {all:?}: name the features in tests/features/Cargo.toml"
        );
    }
    assert!(compared > 200, "{compared} packages were compared");
}
