//! The licences of the crates that an artefact contains, as text.

use std::path::Path;

use anyhow::{Result, bail};

use crate::release::{Artefact, artefacts};
use crate::{cargo, must, succeeds};

/// The tool that collects the licences.
const ABOUT: &str = "--features cli cargo-about@0.9.3";

/// Whether the tool is installed.
pub(crate) fn check() -> Result<()> {
    if !succeeds(cargo().args(["about", "--version"])) {
        bail!(
            "`cargo about`, which collects the licences of crates, is not installed. Install it \
             with `cargo install --locked {ABOUT}`, or omit them with `--skip licences`"
        );
    }
    Ok(())
}

/// The name of the file about an artefact.
pub(crate) fn file(artefact: &str) -> String {
    format!("{artefact}.third-party-licenses.txt")
}

/// Writes a file for each artefact. Those of the commands are about all of these targets.
pub(crate) fn write(workspace: &Path, targets: &[&str], out: &Path) -> Result<()> {
    // The tool itself stays offline, because licences on the web may differ from those of the crates
    // that were compiled.
    must(
        cargo()
            .args(["fetch", "--quiet", "--locked"])
            .current_dir(workspace),
    )?;
    for artefact in artefacts() {
        let mut tool = cargo();
        tool.args(["about", "generate", "--frozen", "--fail"])
            .arg("--config")
            .arg(workspace.join("xtask/licences/about.toml"))
            .arg("--manifest-path")
            .arg(workspace.join(artefact.folder).join("Cargo.toml"))
            .arg("--output-file")
            .arg(out.join(file(&artefact.file)));
        if let Some(feature) = artefact.feature {
            tool.args(["--features", feature]);
        }
        for target in platforms(&artefact, targets) {
            tool.args(["--target", target]);
        }
        must(tool.arg(workspace.join("xtask/licences/text.hbs")))?;
    }
    Ok(())
}

fn platforms<'a>(artefact: &Artefact, targets: &'a [&'a str]) -> Vec<&'a str> {
    match artefact.target {
        Some(target) => vec![target],
        None => targets.to_vec(),
    }
}
