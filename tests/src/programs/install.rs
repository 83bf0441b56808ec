//! Installs programs into folders of their own, without root.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::file::{Install, Program};

/// A program that is installed.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The folder that it is in.
    pub root: PathBuf,
    /// The packages with their versions.
    pub packages: Vec<String>,
}

/// What the marker of a complete installation says.
#[derive(Deserialize, PartialEq, Serialize)]
struct Marker {
    install: Install,
    packages: Vec<String>,
}

/// A program could not be installed.
#[derive(Debug)]
pub struct InstallError(String);

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InstallError {}

impl InstallError {
    /// What failed with a file or a folder.
    fn at(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self(format!("cannot {what} {}: {error}", path.display()))
    }
}

/// Installs a program into a folder of its own below `folder`, unless it is installed already.
///
/// # Errors
///
/// [`InstallError`] with the output of the command that failed.
pub async fn install(program: &Program, folder: &Path) -> Result<Installed, InstallError> {
    let root = folder.join(&program.name);
    let root = std::path::absolute(&root).map_err(InstallError::at("find", &root))?;
    let marker = root.join("installed.json");
    if let Ok(text) = fs::read_to_string(&marker)
        && let Ok(marker) = serde_json::from_str::<Marker>(&text)
        && marker.install == program.install
    {
        let packages = marker.packages;
        return Ok(Installed { root, packages });
    }
    if root.exists() {
        fs::remove_dir_all(&root).map_err(InstallError::at("remove", &root))?;
    }
    let home = root.join("home");
    fs::create_dir_all(&home).map_err(InstallError::at("create", &home))?;
    let packages = install_all(&program.install, &root).await?;
    let made = Marker {
        install: program.install.clone(),
        packages: packages.clone(),
    };
    let write = || fs::write(&marker, serde_json::to_string(&made)?);
    write().map_err(InstallError::at("write", &marker))?;
    Ok(Installed { root, packages })
}

async fn install_all(install: &Install, root: &Path) -> Result<Vec<String>, InstallError> {
    let Install {
        pypi,
        npm,
        debian,
        crates,
        gem,
    } = install;
    if !pypi.is_empty() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(root);
        finish(venv, "a virtual environment").await?;
        let mut pip = Command::new(root.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]);
        pip.args(pypi);
        finish(pip, &pypi.join(" ")).await?;
    }
    if !npm.is_empty() {
        let mut command = Command::new("npm");
        command.args(["install", "--silent", "--no-fund", "--no-audit", "--prefix"]);
        command.arg(root).args(npm);
        finish(command, &npm.join(" ")).await?;
    }
    if !crates.is_empty() {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--locked", "--quiet", "--root"]);
        cargo.arg(root).args(crates);
        finish(cargo, &crates.join(" ")).await?;
    }
    if !gem.is_empty() {
        let mut command = Command::new("gem");
        command.args(["install", "--silent", "--no-document", "--install-dir"]);
        command.arg(root).args(gem);
        finish(command, &gem.join(" ")).await?;
    }
    let pinned = [pypi, npm, crates, gem];
    let mut packages: Vec<String> = pinned.into_iter().flatten().cloned().collect();
    for package in debian {
        packages.push(unpack(package, root).await?);
    }
    Ok(packages)
}

/// Unpacks a package of Debian. Returns its name and version.
async fn unpack(package: &str, root: &Path) -> Result<String, InstallError> {
    let debs = root.join("debs");
    fs::create_dir_all(&debs).map_err(InstallError::at("create", &debs))?;
    let mut download = Command::new("apt-get");
    download
        .args(["download", "--quiet=2", package])
        .current_dir(&debs);
    finish(download, package).await?;
    let mut unpacked = package.to_owned();
    let entries = || debs.read_dir()?.collect::<io::Result<Vec<_>>>();
    for entry in entries().map_err(InstallError::at("read", &debs))? {
        let deb = entry.path();
        let mut extract = Command::new("dpkg");
        extract.arg("--extract").arg(&deb).arg(root);
        finish(extract, package).await?;
        // The name of the file is PACKAGE_VERSION_ARCHITECTURE.deb.
        let name = deb.file_name().unwrap_or_default().to_string_lossy();
        if let Some(version) = name.split('_').nth(1) {
            unpacked = format!("{package} {}", version.replace("%3a", ":"));
        }
    }
    fs::remove_dir_all(&debs).map_err(InstallError::at("remove", &debs))?;
    Ok(unpacked)
}

/// Runs a command that installs `what`.
async fn finish(mut command: Command, what: &str) -> Result<(), InstallError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let failed = |why: &str| InstallError(format!("cannot install {what}: {}", why.trim()));
    let output = command.output().await;
    let output = output.map_err(|error| {
        let program = command.as_std().get_program().to_string_lossy();
        failed(&format!("{program}: {error}"))
    })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(&String::from_utf8_lossy(&output.stderr))),
    }
}
