//! Components of this workspace.

#![allow(dead_code, reason = "not every test has a use for all of it")]

use std::path::Path;
use std::process::Command;

/// Builds a component where the host builds its own. Tests, and what they stand on, stop if it cannot be
/// built.
pub(crate) fn component(package: &str) -> Vec<u8> {
    build(package, "component", &[])
}

/// Builds the component with a feature, in a folder of its own: the artefacts have the same name.
pub(crate) fn variant(feature: &str) -> Vec<u8> {
    let folder = format!("component-{feature}");
    build("ec2-role-component", &folder, &["--features", feature])
}

fn build(package: &str, folder: &str, arguments: &[&str]) -> Vec<u8> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = std::env::current_exe().unwrap();
    // <target>/<profile>/<deps or examples>/<this program>
    let target = program.ancestors().nth(3).unwrap().join(folder);
    let status = Command::new(env!("CARGO"))
        .current_dir(workspace)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["build", "--quiet", "--locked", "--package", package])
        .args([
            "--target",
            "wasm32-unknown-unknown",
            "--profile",
            "component",
        ])
        .args(arguments)
        .arg("--target-dir")
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success(), "{package} cannot be built");
    let file = format!("{}.wasm", package.replace('-', "_"));
    std::fs::read(target.join("wasm32-unknown-unknown/component").join(file)).unwrap()
}
