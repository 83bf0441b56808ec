//! The packages of the crates, as `cargo publish` uploads them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{cargo, must, sources};

/// The packages, in the order in which they are to be published: each after those that it needs.
const PACKAGES: [&str; 10] = [
    "ec2-role-name",
    "ec2-role-component",
    "ec2-role-guest",
    "imds-child-process",
    "imds-isolation",
    "imds-manual",
    "imds-emulator",
    "ec2-role-host",
    "ec2-role-credentials",
    "imds-conformance",
];

/// Where the package of the host has the component: the host's build script looks for it here.
const COMPONENT: &str = "host/ec2_role_component.wasm";

/// Writes the packages into the folder `out`. The host's contains `component`, which stays in the
/// host's folder for `cargo publish`.
pub(crate) fn run(workspace: &Path, target: &Path, component: &[u8], out: &Path) -> Result<()> {
    let embedded = workspace.join(COMPONENT);
    fs::write(&embedded, component)
        .with_context(|| format!("cannot write {}", embedded.display()))?;
    let mut package = cargo();
    package
        .current_dir(workspace)
        // They are built from the packages by tests/newcomers.sh.
        .args([
            "package",
            "--quiet",
            "--locked",
            "--no-verify",
            "--allow-dirty",
        ])
        .arg("--target-dir")
        .arg(target);
    for name in PACKAGES {
        package.args(["--package", name]);
    }
    must(&mut package)?;
    fs::create_dir_all(out)?;
    let version = env!("CARGO_PKG_VERSION");
    for name in PACKAGES {
        let file = format!("{name}-{version}.crate");
        sources::copy_file(&target.join("package").join(&file), &out.join(&file))?;
    }
    Ok(())
}
