//! Software bills of materials (SBOM), as CycloneDX.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::release::artefacts;
use crate::{cargo, must, sources, succeeds};

/// The tool that writes the SBOMs.
const CYCLONEDX: &str = "cargo-cyclonedx@0.5.9";

/// Whether the tool is installed.
pub(crate) fn check() -> Result<()> {
    if !succeeds(cargo().args(["cyclonedx", "--version"])) {
        bail!(
            "`cargo cyclonedx`, which writes the SBOMs, is not installed. Install it with \
             `cargo install --locked {CYCLONEDX}`, or omit the SBOMs with `--skip sbom`"
        );
    }
    Ok(())
}

/// Writes an SBOM for each artefact. The tool writes beside manifests, so it runs in a copy of the
/// sources.
pub(crate) fn write(workspace: &Path, time: u64, out: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().canonicalize()?.join("source");
    sources::copy(workspace, &copy)?;
    // The ids of this workspace's packages begin with the path of the copy.
    let place = format!("path+file://{}/", copy.display());
    for artefact in artefacts() {
        let folder = copy.join(artefact.folder);
        let mut tool = cargo();
        tool.args(["cyclonedx", "--quiet", "--format", "json"])
            .args(["--spec-version", "1.5", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .args(artefact.arguments())
            .env("SOURCE_DATE_EPOCH", time.to_string());
        must(&mut tool)?;
        let file = folder.join(format!("{}.cdx.json", artefact.package));
        let list =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        fs::write(
            out.join(format!("{}.cdx.json", artefact.file)),
            list.replace(&place, "path+file:///"),
        )?;
    }
    Ok(())
}
