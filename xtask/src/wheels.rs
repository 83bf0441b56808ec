//! The wheels for PyPI: a command that is compiled already, with the rest of its Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tempfile::TempDir;

use crate::commands::Built;
use crate::release::BINARIES;
use crate::{must, notices, python, sources};

/// Builds the wheels, and needs nothing but Python. maturin cannot package a command that exists: it
/// compiles the command itself, with the features that its package alone selects.
const HATCHLING: &str = "hatchling==1.33.0";
/// The commands, each with the folder of its Python package.
const PACKAGES: [(&str, &str); 2] = [
    ("imds-conformance", "tests/python"),
    ("imds-emulator", "emulator/python"),
];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Package these commands: files called imds-emulator or imds-conformance, compiled for any
    /// platform. What is in the file decides for which platforms the wheel is.
    #[arg(required = true, value_name = "COMMAND")]
    commands: Vec<PathBuf>,
    /// Write the wheels to this folder [default: target/wheels].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// `cargo xtask wheels`.
pub(crate) fn run(workspace: &Path, target: &Path, options: &Options) -> Result<()> {
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => target.join("wheels"),
    };
    build(workspace, target, &options.commands, &out)
}

/// The commands for a platform that wheels are made of.
pub(crate) fn commands(built: &Built) -> Vec<PathBuf> {
    let has_package = |name| PACKAGES.iter().any(|(package, _)| *package == name);
    let binaries = BINARIES.iter().filter(|binary| has_package(binary.name));
    binaries.map(|binary| built.command(binary)).collect()
}

/// Writes a wheel for each command into the folder `out`. It contains the SBOM and the licences of
/// third parties if they are beside the command.
pub(crate) fn build(
    workspace: &Path,
    target: &Path,
    commands: &[PathBuf],
    out: &Path,
) -> Result<()> {
    let mut packages = Vec::new();
    for command in commands {
        let stem = command.file_stem().unwrap_or_default();
        let Some((name, package)) = PACKAGES.iter().find(|(name, _)| stem == *name) else {
            bail!(
                "there is no Python package for the command {}; accepted: files called {}",
                command.display(),
                PACKAGES.map(|(name, _)| name).join(" or ")
            );
        };
        let command = fs::canonicalize(command)
            .with_context(|| format!("cannot read the command {}", command.display()))?;
        packages.push((*name, *package, command));
    }
    let hatchling = python::install(target, &[HATCHLING])?;
    for (name, package, command) in packages {
        let copy = copy(workspace)?;
        let folder = copy.path().join(package);
        let notices = command.with_file_name(notices::file(name));
        if notices.exists() {
            sources::copy_file(&notices, &folder.join("LICENSE-THIRD-PARTY.txt"))?;
        }
        let mut tool = Command::new(&hatchling);
        tool.args(["-m", "hatchling", "build", "--target", "wheel"])
            .arg("--directory")
            .arg(out)
            .current_dir(folder)
            .env("WHEEL_COMMAND", &command)
            .env_remove("WHEEL_SBOM");
        let sbom = command.with_file_name(format!("{name}.cdx.json"));
        if sbom.exists() {
            tool.env("WHEEL_SBOM", sbom);
        }
        must(&mut tool)?;
    }
    Ok(())
}

/// A copy of the packages, because a wheel takes files with licences from the folder of its package
/// alone.
fn copy(workspace: &Path) -> Result<TempDir> {
    let copy = tempfile::tempdir()?;
    for file in sources::tracked(workspace)? {
        let is_needed = PACKAGES
            .iter()
            .any(|(_, package)| Path::new(&file).starts_with(package));
        // The manifest of the workspace has the version.
        if is_needed || file == "Cargo.toml" {
            sources::copy_file(&workspace.join(&file), &copy.path().join(&file))?;
        }
    }
    Ok(copy)
}
