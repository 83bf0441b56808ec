//! Writes everything that a release carries into one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use sha2::{Digest as _, Sha256};

use crate::commands;
use crate::optimise::{self, Optimiser};
use crate::release::{self, COMPONENTS};
use crate::{debian, images, notices, npm, package, registry, sbom, sources, wheels, wit};

/// The list of sums. It marks a folder as the result of an earlier run.
const SUMS: &str = "SHA256SUMS";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write to this folder, and delete what an earlier run left in it [default: target/dist].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    commands: commands::Options,
    /// Omit these parts.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    skip: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The commands, which take minutes to build, and all packages that contain them.
    Binaries,
    /// The packages for Debian.
    Debian,
    /// The container images.
    Images,
    /// The licences of third parties.
    Licences,
    /// The npm packages. If `binaries` is skipped, only the package of the component is made.
    Npm,
    /// The software bills of materials (SBOM).
    Sbom,
    /// The Python wheels.
    Wheels,
}

impl Options {
    fn skips(&self, part: Part) -> bool {
        self.skip.contains(&part)
    }

    /// Reports what is missing, before the long builds.
    fn check(&self) -> Result<()> {
        if !self.skips(Part::Sbom) {
            sbom::check()?;
        }
        if !self.skips(Part::Licences) {
            notices::check()?;
        }
        if !self.skips(Part::Binaries) {
            self.commands.targets()?;
        }
        Ok(())
    }

    /// Why a part is not made, if it is not. `linked_statically` says whether there are such commands.
    fn reason(&self, part: Part, linked_statically: bool) -> Option<&'static str> {
        let is_packaged = matches!(part, Part::Debian | Part::Images | Part::Wheels);
        if self.skips(part) {
            Some("--skip")
        } else if !is_packaged {
            None
        } else if self.skips(Part::Binaries) {
            Some("they need the binaries")
        } else if part == Part::Wheels {
            None
        } else if !linked_statically {
            Some("they need commands for musl: --targets x86_64-unknown-linux-musl")
        } else if part == Part::Debian && !debian::is_available() {
            Some("dpkg-deb is not installed")
        } else {
            None
        }
    }
}

pub(crate) fn run(workspace: &Path, target: &Path, options: &Options) -> Result<()> {
    options.check()?;
    let optimiser = optimise::install(target)?;
    let time = time(workspace);

    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => target.join("dist"),
    };
    prepare(&out)?;
    components(workspace, target, &out, &optimiser)?;
    registry::run(workspace, &out, time)?;
    let component_file = out.join("ec2-role-credentials.wasm");
    let component = fs::read(&component_file)?;
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
    if !options.skips(Part::Sbom) {
        sbom::write(workspace, time, &out)?;
    }
    if !options.skips(Part::Licences) {
        let targets = options.commands.targets().unwrap_or_default();
        let triples: Vec<_> = targets.iter().map(|target| target.triple).collect();
        notices::write(workspace, &triples, &out)?;
    }
    let stage = tempfile::tempdir_in(target)?;
    let mut built = Vec::new();
    if !options.skips(Part::Binaries) {
        built = (options.commands).build(workspace, target, &component_file, &out, stage.path())?;
        for built in &built {
            built.archive(time, &out)?;
        }
    }
    let linked_statically = built
        .iter()
        .any(|built| built.target.linked_statically.is_some());
    let is_made = |part| options.reason(part, linked_statically).is_none();
    if is_made(Part::Wheels) {
        let commands: Vec<_> = built.iter().flat_map(wheels::commands).collect();
        wheels::build(workspace, target, &commands, &out.join("python"))?;
    }
    if is_made(Part::Npm) {
        let commands: Vec<_> = built.iter().map(npm::Built::new).collect();
        let notices = out.join(notices::file("ec2-role-credentials.wasm"));
        npm::pack(
            workspace,
            target,
            &commands,
            Some(&component),
            Some(&notices),
            &out.join("npm"),
        )?;
    }
    if is_made(Part::Images) {
        images::build(&built, time, &out.join("images"))?;
    }
    if is_made(Part::Debian) {
        debian::build(&built, time, &out.join("debian"))?;
    }
    finish(&out)?;

    for (part, name) in [
        (Part::Binaries, "binaries"),
        (Part::Debian, "packages for Debian"),
        (Part::Images, "container images"),
        (Part::Licences, "licences of third parties"),
        (Part::Npm, "packages for npm"),
        (Part::Sbom, "SBOM"),
        (Part::Wheels, "wheels"),
    ] {
        if let Some(reason) = options.reason(part, linked_statically) {
            println!("skipped: {name} ({reason})");
        }
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

/// The time of the last commit, in seconds since 1970, which everything in the release has. Without
/// git, it is 1970.
fn time(workspace: &Path) -> u64 {
    let git = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(workspace)
        .output();
    let time = git.ok().and_then(|git| {
        let text = String::from_utf8(git.stdout).ok()?;
        text.trim().parse().ok()
    });
    time.unwrap_or_default()
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
