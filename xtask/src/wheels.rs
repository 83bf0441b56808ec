//! The wheels for PyPI: a command that is compiled already, with the rest of its Python package.

use std::env::consts::{EXE_SUFFIX, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::must;

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

/// The commands in a folder that wheels are made of.
pub(crate) fn commands(folder: &Path) -> Vec<PathBuf> {
    PACKAGES
        .iter()
        .map(|(name, _)| folder.join(format!("{name}{}", EXE_SUFFIX)))
        .collect()
}

/// Writes a wheel for each command into the folder `out`. If there is an SBOM beside a command, the
/// wheel contains it.
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
        packages.push((*name, workspace.join(package), command));
    }
    let hatchling = install(target)?;
    for (name, folder, command) in packages {
        let mut tool = Command::new(&hatchling);
        tool.args([
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
        ])
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

/// Installs the tool into `<target>/tools`, unless it is there. Returns the Python that has it.
fn install(target: &Path) -> Result<PathBuf> {
    let folder = target.join("tools").join(HATCHLING);
    let python = match OS {
        "windows" => folder.join("Scripts/python.exe"),
        _ => folder.join("bin/python"),
    };
    let installed = folder.join("installed");
    if !installed.exists() {
        let why = || {
            format!(
                "cannot install {HATCHLING}, which builds the wheels; it needs Python 3 with venv and pip"
            )
        };
        must(Command::new("python3").args(["-m", "venv"]).arg(&folder)).with_context(why)?;
        must(
            Command::new(&python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .arg(HATCHLING),
        )
        .with_context(why)?;
        fs::write(&installed, "")?;
    }
    Ok(python)
}
