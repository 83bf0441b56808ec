//! Components of this workspace.

#![allow(dead_code, reason = "not every test has a use for all of it")]

use std::path::Path;

// The host's build script and `cargo xtask` use it too.
#[path = "../../../host/component.rs"]
mod component;

/// Builds a component in the folder where the host builds its own. Panics if that fails.
pub(crate) fn component(package: &str) -> Vec<u8> {
    build(package, "component", &[])
}

/// Builds the component with a feature, in a separate folder because the artefacts have the same name.
pub(crate) fn variant(feature: &str) -> Vec<u8> {
    let folder = format!("component-{feature}");
    build("ec2-role-component", &folder, &["--features", feature])
}

fn build(package: &str, folder: &str, arguments: &[&str]) -> Vec<u8> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = std::env::current_exe().unwrap();
    // <target>/<profile>/<deps or examples>/<this program>
    let target = program.ancestors().nth(3).unwrap().join(folder);
    let home = component::cargo_home().unwrap();
    let arguments = [&["--quiet", "--locked"], arguments].concat();
    component::build(workspace, &home, &target, package, &arguments)
        .unwrap()
        .content
}
