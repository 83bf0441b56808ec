//! The commands of a release for each platform, with what belongs to them: the manual, completion
//! scripts, licences.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::archive::{Archive, EXECUTABLE};
use crate::notices;
use crate::release::{BINARIES, Binary};
use crate::{cargo, must, python, sources};

/// Links for Linux on any processor. cargo-zigbuild gives it the arguments that rustc gives to other
/// linkers.
const ZIG: [&str; 2] = ["cargo-zigbuild==0.24.1", "ziglang==0.17.1"];
const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];
const SHELLS: [(&str, &str); 5] = [
    ("bash", "bash"),
    ("elvish", "elv"),
    ("fish", "fish"),
    ("powershell", "ps1"),
    ("zsh", "zsh"),
];

/// A platform that commands can be built for.
#[derive(Debug)]
pub(crate) struct Target {
    /// As rustc calls it.
    pub(crate) triple: &'static str,
    os: &'static str,
    arch: &'static str,
    /// As Node.js calls it.
    pub(crate) npm: &'static str,
    /// If its commands are linked statically: they run on every Linux, also in an image without
    /// anything else.
    pub(crate) linked_statically: Option<Static>,
}

/// A target whose commands run on every Linux.
#[derive(Debug)]
pub(crate) struct Static {
    /// The processor, as Go and Debian call it.
    pub(crate) architecture: &'static str,
}

pub(crate) static TARGETS: [Target; 6] = [
    Target {
        triple: "x86_64-unknown-linux-gnu",
        os: "linux",
        arch: "x86_64",
        npm: "linux-x64",
        linked_statically: None,
    },
    Target {
        triple: "aarch64-unknown-linux-gnu",
        os: "linux",
        arch: "aarch64",
        npm: "linux-arm64",
        linked_statically: None,
    },
    Target {
        triple: "x86_64-unknown-linux-musl",
        os: "linux",
        arch: "x86_64",
        npm: "linux-x64",
        linked_statically: Some(Static {
            architecture: "amd64",
        }),
    },
    Target {
        triple: "aarch64-unknown-linux-musl",
        os: "linux",
        arch: "aarch64",
        npm: "linux-arm64",
        linked_statically: Some(Static {
            architecture: "arm64",
        }),
    },
    Target {
        triple: "aarch64-apple-darwin",
        os: "macos",
        arch: "aarch64",
        npm: "darwin-arm64",
        linked_statically: None,
    },
    Target {
        triple: "x86_64-pc-windows-msvc",
        os: "windows",
        arch: "x86_64",
        npm: "win32-x64",
        linked_statically: None,
    },
];

impl Target {
    /// The target of this machine, dynamically linked.
    fn here() -> Result<&'static Self> {
        let here = TARGETS.iter().find(|target| target.runs_here());
        here.with_context(|| {
            format!(
                "no commands are released for this machine ({OS} on {ARCH}); name other targets \
                 with --targets, or omit the commands with --skip binaries"
            )
        })
    }

    /// Whether this machine can run its commands.
    fn runs_here(&self) -> bool {
        self.os == OS && self.arch == ARCH
    }

    pub(crate) fn suffix(&self) -> &'static str {
        if self.os == "windows" { ".exe" } else { "" }
    }
}

// A group would have the name of the group of `dist`.
#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Options {
    /// Build the commands for these targets, in the words of rustc. All others than this machine's are
    /// for Linux, and are linked with Zig, which is installed from PyPI [default: this machine's].
    #[arg(long, value_delimiter = ',', value_name = "TARGETS", value_parser = target)]
    targets: Vec<&'static Target>,
    /// Do not build commands that are already in FOLDER/TARGET. They must contain the component of
    /// this release.
    #[arg(long, value_name = "FOLDER")]
    prebuilt: Option<PathBuf>,
}

fn target(triple: &str) -> Result<&'static Target> {
    let found = TARGETS.iter().find(|target| target.triple == triple);
    found.with_context(|| {
        let triples: Vec<_> = TARGETS.iter().map(|target| target.triple).collect();
        format!("accepted: {}", triples.join(", "))
    })
}

impl Options {
    /// The targets, at most one for each platform.
    pub(crate) fn targets(&self) -> Result<Vec<&'static Target>> {
        if self.targets.is_empty() {
            return Ok(vec![Target::here()?]);
        }
        for (number, target) in self.targets.iter().enumerate() {
            let others = self.targets.iter().skip(number + 1);
            if let Some(other) = others.into_iter().find(|other| other.npm == target.npm) {
                bail!(
                    "--targets names {} and {}, but a release has one package for each platform; \
                     omit one of them",
                    target.triple,
                    other.triple
                );
            }
        }
        Ok(self.targets.clone())
    }

    /// Finds or builds the commands, with the component of this release in those that have one, and puts
    /// each target's into a folder of its own below `stage`, with what belongs to them. What belongs to
    /// all is in `out` already.
    pub(crate) fn build(
        &self,
        workspace: &Path,
        target: &Path,
        component: &Path,
        out: &Path,
        stage: &Path,
    ) -> Result<Vec<Built>> {
        let mut all = Vec::new();
        for wanted in self.targets()? {
            let from = self.folder(workspace, target, component, wanted)?;
            let folder = stage.join(format!("imds-credentials-{}", wanted.triple));
            let built = Built {
                target: wanted,
                folder,
            };
            for binary in &BINARIES {
                let command = built.command(binary);
                let name = command.file_name().unwrap_or_default();
                sources::copy_file(&from.join(name), &command)?;
                // Stores of files, such as that of GitHub's workflows, lose the permission.
                sources::make_executable(&command)?;
                for file in [
                    format!("{}.cdx.json", binary.name),
                    notices::file(binary.name),
                ] {
                    if out.join(&file).exists() {
                        sources::copy_file(&out.join(&file), &built.folder.join(&file))?;
                    }
                }
            }
            for licence in LICENCES {
                sources::copy_file(&workspace.join(licence), &built.folder.join(licence))?;
            }
            all.push(built);
        }
        document(&all)?;
        Ok(all)
    }

    /// The folder with the commands for a target, which are built unless they are there.
    fn folder(
        &self,
        workspace: &Path,
        target: &Path,
        component: &Path,
        wanted: &Target,
    ) -> Result<PathBuf> {
        if let Some(prebuilt) = &self.prebuilt {
            let folder = prebuilt.join(wanted.triple);
            if folder.exists() {
                check(&folder, wanted, component)?;
                return Ok(folder);
            }
        }
        let is_native = wanted.triple == Target::here().map_or("", |here| here.triple);
        let mut build = if is_native {
            let mut build = cargo();
            build.arg("build");
            build
        } else if wanted.os == "linux" {
            zigbuild(target, wanted)?
        } else {
            bail!(
                "{} can be built on such a machine only; build it there, and name the folder with \
                 --prebuilt FOLDER",
                wanted.triple
            );
        };
        // Cargo strips them, so the machine needs no tool for that.
        build
            .current_dir(workspace)
            .env("EC2_ROLE_COMPONENT", component)
            .args(["--release", "--locked"])
            .args(["--config", "profile.release.strip=true"])
            .arg("--target-dir")
            .arg(target);
        for binary in &BINARIES {
            build.args(["--package", binary.package, "--bin", binary.name]);
        }
        must(&mut build)?;
        Ok(match is_native {
            true => target.join("release"),
            false => target.join(wanted.triple).join("release"),
        })
    }
}

/// Whether commands that were built elsewhere contain the component of this release.
fn check(folder: &Path, target: &Target, component: &Path) -> Result<()> {
    let component = fs::read(component)?;
    for binary in BINARIES.iter().filter(|binary| binary.has_component) {
        let file = folder.join(format!("{}{}", binary.name, target.suffix()));
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if !content
            .windows(component.len())
            .any(|bytes| bytes == component)
        {
            bail!(
                "{} does not contain the component of this release; build it with the variable \
                 EC2_ROLE_COMPONENT, which names the component",
                file.display()
            );
        }
    }
    Ok(())
}

/// `cargo build` for another target.
fn zigbuild(tools: &Path, wanted: &Target) -> Result<Command> {
    must(Command::new("rustup").args(["target", "add", wanted.triple]))?;
    let python = python::install(tools, &ZIG)
        .with_context(|| format!("cannot install what links commands for {}", wanted.triple))?;
    let mut build = Command::new(python.with_file_name("cargo-zigbuild"));
    build
        .args(["zigbuild", "--target", wanted.triple])
        // Otherwise a Zig of another version, which is in PATH, would be used.
        .env("CARGO_ZIGBUILD_PYTHON_PATH", python);
    Ok(build)
}

/// Adds the manual and completion scripts, which are the same for all targets, if this machine can run
/// one of the commands.
fn document(all: &[Built]) -> Result<()> {
    let Some(built) = all.iter().find(|built| built.target.runs_here()) else {
        println!("The manual and completions are missing: this machine runs none of the commands.");
        return Ok(());
    };
    let (manual, completions) = (built.folder.join("man"), built.folder.join("completions"));
    fs::create_dir_all(&completions)?;
    for binary in &BINARIES {
        let command = built.command(binary);
        must(Command::new(&command).arg("man").arg(&manual))?;
        for (shell, extension) in SHELLS {
            let mut command = Command::new(&command);
            let output = command.args(["completions", shell]).output()?;
            if !output.status.success() || output.stdout.is_empty() {
                bail!("`{} completions {shell}` printed nothing", binary.name);
            }
            let file = completions.join(format!("{}.{extension}", binary.name));
            fs::write(file, output.stdout)?;
        }
    }
    for other in all.iter().filter(|other| other.folder != built.folder) {
        for documents in ["man", "completions"] {
            let from = built.folder.join(documents);
            for file in sources::files(&from)? {
                let to = other.folder.join(documents).join(&file);
                sources::copy_file(&from.join(file), &to)?;
            }
        }
    }
    Ok(())
}

/// The commands for a target, and what belongs to them.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) target: &'static Target,
    pub(crate) folder: PathBuf,
}

impl Built {
    /// The file of a command.
    pub(crate) fn command(&self, binary: &Binary) -> PathBuf {
        self.folder
            .join(format!("{}{}", binary.name, self.target.suffix()))
    }

    /// The names of the files with licences that are about a command.
    pub(crate) fn licences(&self, binary: &Binary) -> Vec<String> {
        let mut files = LICENCES.map(str::to_owned).to_vec();
        let notices = notices::file(binary.name);
        if self.folder.join(&notices).exists() {
            files.push(notices);
        }
        files
    }

    /// Writes the archive with everything.
    pub(crate) fn archive(&self, time: u64, out: &Path) -> Result<()> {
        let name = self.folder.file_name().unwrap_or_default();
        let mut archive = Archive::new(time);
        archive.folder(name, EXECUTABLE)?;
        archive.files_of(&self.folder, name.as_ref())?;
        let file = out.join(name).with_added_extension("tar.gz");
        fs::write(&file, archive.tar_gz()?)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}
