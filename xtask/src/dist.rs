//! Writes everything that a release carries into one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use sha2::{Digest as _, Sha256};

use crate::optimise::{self, Optimiser};
use crate::release::{self, BINARIES, COMPONENTS};
use crate::{cargo, component, must, npm, package, registry, sources, succeeds, wheels, wit};

/// The list of sums. It marks a folder as the result of an earlier run.
const SUMS: &str = "SHA256SUMS";
/// The tool that writes the SBOMs.
const CYCLONEDX: &str = "cargo-cyclonedx@0.5.9";
const IMAGE: &str = "imds-image.tar";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write to this folder, and delete what an earlier run left in it [default: target/dist].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Omit these parts.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    skip: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The commands, which take minutes to build.
    Binaries,
    /// The container image.
    Image,
    /// The npm packages. If `binaries` is skipped, only the package of the component is made.
    Npm,
    /// The software bills of materials (SBOM).
    Sbom,
    /// The Python wheels. They contain the commands, so `binaries` skips them too.
    Wheels,
}

pub(crate) fn run(workspace: &Path, target: &Path, options: &Options) -> Result<()> {
    let skips = |part| options.skip.contains(&part);
    // Report what is missing before the long builds.
    if !skips(Part::Sbom) && !succeeds(cargo().args(["cyclonedx", "--version"])) {
        bail!(
            "`cargo cyclonedx`, which writes the SBOMs, is not installed. Install it with \
             `cargo install --locked {CYCLONEDX}`, or omit the SBOMs with `--skip sbom`"
        );
    }
    let optimiser = optimise::install(target)?;
    let no_image = if skips(Part::Image) {
        Some("--skip")
    } else if !succeeds(Command::new("docker").arg("version")) {
        let reason = "the docker daemon is not running";
        println!("The container image is not built: {reason}.");
        Some(reason)
    } else {
        None
    };

    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => target.join("dist"),
    };
    prepare(&out)?;
    components(workspace, target, &out, &optimiser)?;
    registry::run(workspace, &out, time(workspace).unwrap_or(0))?;
    let component = fs::read(out.join("ec2-role-credentials.wasm"))?;
    package::run(workspace, target, &component, &out.join("crates"))?;
    for file in sources::files(&workspace.join("wit"))? {
        if file.ends_with(".wit") {
            let file = Path::new("wit").join(file);
            sources::copy_file(&workspace.join(&file), &out.join(&file))?;
        }
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        sources::copy_file(&workspace.join(licence), &out.join(licence))?;
    }
    if !skips(Part::Sbom) {
        sbom(workspace, &out)?;
    }
    if !skips(Part::Binaries) {
        binaries(workspace, target, &out)?;
    }
    if !skips(Part::Binaries) && !skips(Part::Wheels) {
        wheels::build(
            workspace,
            target,
            &wheels::commands(&out),
            &out.join("python"),
        )?;
    }
    if !skips(Part::Npm) {
        let command = npm::Built::here(&out).filter(|_| !skips(Part::Binaries));
        npm::pack(
            workspace,
            target,
            command.as_slice(),
            Some(&component),
            &out.join("npm"),
        )?;
    }
    if no_image.is_none() {
        image(workspace, &out)?;
    }
    finish(&out)?;

    for (part, name) in [
        (Part::Binaries, "binaries"),
        (Part::Npm, "packages for npm"),
        (Part::Sbom, "SBOM"),
    ] {
        if skips(part) {
            println!("skipped: {name} (--skip)");
        }
    }
    if skips(Part::Wheels) {
        println!("skipped: wheels (--skip)");
    } else if skips(Part::Binaries) {
        println!("skipped: wheels (they need the binaries)");
    }
    if let Some(reason) = no_image {
        println!("skipped: container image ({reason})");
    }
    println!("written to {}", out.display());
    Ok(())
}

/// Creates the folder, or empties it if an earlier run wrote it.
fn prepare(out: &Path) -> Result<()> {
    if out.exists() {
        let empty = fs::read_dir(out)
            .with_context(|| format!("cannot list the folder {}", out.display()))?
            .next()
            .is_none();
        if !empty && !out.join(SUMS).exists() {
            bail!(
                "{} is not empty and was not written by an earlier run, because it has no {SUMS}. Empty it, or name another \
                 folder with --out",
                out.display()
            );
        }
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)
        .with_context(|| format!("cannot create the folder {}", out.display()))?;
    // Now, so that the next run recognises what a failed run leaves.
    fs::write(out.join(SUMS), "")?;
    Ok(())
}

fn components(workspace: &Path, target: &Path, out: &Path, optimiser: &Optimiser) -> Result<()> {
    for component in &COMPONENTS {
        let content = release::build(component.name, workspace, target, optimiser)?;
        let description = wit::describe(&content)?;
        let write = |extension: &str, content: &[u8]| {
            fs::write(out.join(format!("{}.{extension}", component.name)), content)
        };
        write("wasm", &content)?;
        write("wit", description.wit.as_bytes())?;
        write("imports.txt", description.imports.as_bytes())?;
        write("exports.txt", description.exports.as_bytes())?;
    }
    Ok(())
}

/// Builds the commands, with the component of this release in the host's. Cargo strips them, so the
/// machine needs no tool for that.
fn binaries(workspace: &Path, target: &Path, out: &Path) -> Result<()> {
    let mut build = cargo();
    build
        .current_dir(workspace)
        .env("EC2_ROLE_COMPONENT", out.join("ec2-role-credentials.wasm"))
        .args(["build", "--release", "--locked"])
        .args(["--config", "profile.release.strip=true"])
        .arg("--target-dir")
        .arg(target);
    for binary in &BINARIES {
        build.args(["--package", binary.package, "--bin", binary.name]);
    }
    must(&mut build)?;
    for binary in &BINARIES {
        let built = target.join("release").join(binary.name);
        sources::copy_file(&built, &out.join(binary.name))?;
    }
    Ok(())
}

/// Writes an SBOM for each artefact, as CycloneDX. The tool writes beside manifests, so it runs in a copy of the sources.
fn sbom(workspace: &Path, out: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().canonicalize()?.join("source");
    sources::copy(workspace, &copy)?;
    // The artefact, the folder of its package, the package, and how it is built.
    let mut lists = Vec::new();
    for component in &COMPONENTS {
        let artefact = format!("{}.wasm", component.name);
        let mut arguments = vec!["--target", component::TARGET];
        if let Some(feature) = component.feature {
            arguments.extend(["--features", feature]);
        }
        lists.push((artefact, "component", "ec2-role-component", arguments));
    }
    for binary in &BINARIES {
        let artefact = binary.name.to_owned();
        lists.push((artefact, binary.folder, binary.package, Vec::new()));
    }
    // The ids of this workspace's packages begin with the path of the copy.
    let place = format!("path+file://{}/", copy.display());
    for (artefact, folder, package, arguments) in lists {
        let folder = copy.join(folder);
        let mut tool = cargo();
        tool.args(["cyclonedx", "--quiet", "--format", "json"])
            .args(["--spec-version", "1.5", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .args(arguments);
        if let Some(time) = time(workspace) {
            tool.env("SOURCE_DATE_EPOCH", time.to_string());
        }
        must(&mut tool)?;
        let file = folder.join(format!("{package}.cdx.json"));
        let list =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        fs::write(
            out.join(format!("{artefact}.cdx.json")),
            list.replace(&place, "path+file:///"),
        )?;
    }
    Ok(())
}

/// The time of the last commit, in seconds since 1970. Without git, the SBOMs have the time at which
/// they are written, and what goes to a registry has none.
fn time(workspace: &Path) -> Option<u64> {
    let git = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(workspace)
        .output()
        .ok()?;
    String::from_utf8(git.stdout).ok()?.trim().parse().ok()
}

fn image(workspace: &Path, out: &Path) -> Result<()> {
    let tag = format!("imds:{}", env!("CARGO_PKG_VERSION"));
    must(
        Command::new("docker")
            .args(["build", "--file", "tests/Dockerfile", "--tag", &tag, "."])
            .current_dir(workspace),
    )?;
    must(
        Command::new("docker")
            .args(["save", "--output"])
            .arg(out.join(IMAGE))
            .arg(&tag),
    )
}

/// Folders whose files share a row of the table.
const FOLDERS: [&str; 2] = ["oci/", "wit/"];

/// Writes the sums as `sha256sum` does, and prints a table.
fn finish(out: &Path) -> Result<()> {
    let mut sums = String::new();
    let mut rows = Vec::new();
    let mut folders = FOLDERS.map(|folder| (folder, 0_u32, 0));
    for file in sources::files(out)?.iter().filter(|file| *file != SUMS) {
        let content = fs::read(out.join(file))?;
        let sum = hash(&content);
        sums += &format!("{sum}  {file}\n");
        match folders
            .iter_mut()
            .find(|(folder, ..)| file.starts_with(folder))
        {
            Some((_, files, bytes)) => {
                *files += 1;
                *bytes += content.len();
            }
            None => rows.push((file.clone(), content.len(), sum)),
        }
    }
    fs::write(out.join(SUMS), &sums)?;
    for (folder, files, bytes) in folders {
        rows.push((folder.to_owned(), bytes, format!("{files} files")));
    }
    rows.push((SUMS.to_owned(), sums.len(), hash(sums.as_bytes())));

    let width = rows.iter().map(|(file, ..)| file.len()).max().unwrap_or(0);
    println!("{:<width$}  {:>10}  sha256", "file", "bytes");
    for (file, bytes, sum) in rows {
        println!("{file:<width$}  {bytes:>10}  {sum}");
    }
    Ok(())
}

/// The SHA-256 in hexadecimal.
pub(crate) fn hash(content: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(content))
}
