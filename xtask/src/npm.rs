//! The packages for npm: the emulator, and the component as JavaScript.
//!
//! The emulator's package has the JavaScript API, and a package for each platform has the command: npm
//! installs the one whose `os`, `cpu` and `libc` are those of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::commands::{self, TARGETS};
use crate::optimise::{self, Optimiser};
use crate::{must, notices, release, sources};

/// Transpiles the component. tests/clients/jco.sh tests the same version.
const JCO: &str = "@bytecodealliance/jco@1.35.0";
const COMPONENT: &str = "ec2-role-credentials";
const EMULATOR: &str = "imds-emulator";
const MANIFEST: &str = "package.json";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write the packages into this folder [default: target/npm].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Package the command at PATH for PLATFORM, such as linux-x64; can be repeated. Without this
    /// option, there is no package of the emulator.
    #[arg(long = "command", value_name = "PLATFORM=PATH", value_parser = built)]
    commands: Vec<Built>,
    /// Do not package the component.
    #[arg(long)]
    no_component: bool,
    /// Package the component without the pass of `wasm-opt`, which takes a minute.
    #[arg(long)]
    unoptimised: bool,
}

/// The emulator's command for a platform.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    platform: &'static str,
    file: PathBuf,
}

impl Built {
    /// A command of a release.
    pub(crate) fn new(built: &commands::Built) -> Self {
        let name = format!("{EMULATOR}{}", built.target.suffix());
        Self {
            platform: built.target.npm,
            file: built.folder.join(name),
        }
    }

    /// The package `name`, which the package `main` depends on.
    fn package(&self, name: &str, main: &str, workspace: &Path) -> Result<Package> {
        let content =
            fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let (os, cpu) = self.platform.split_once('-').unwrap_or_default();
        let mut manifest = Map::from_iter([
            ("name".into(), json!(name)),
            (
                "description".into(),
                json!(format!("The command of {main}, for {os} on {cpu}")),
            ),
            ("license".into(), json!("MIT OR Apache-2.0")),
            ("os".into(), json!([os])),
            ("cpu".into(), json!([cpu])),
            // Yarn would keep the package in an archive, where the command cannot be run.
            ("preferUnplugged".into(), json!(true)),
        ]);
        // A command without a dynamic loader runs with every C library.
        let loader = b"/ld-linux-";
        if content.windows(loader.len()).any(|bytes| bytes == loader) {
            manifest.insert("libc".into(), json!(["glibc"]));
        }
        let package = Package::new(workspace, manifest)?;
        let suffix = if os == "win32" { ".exe" } else { "" };
        let file = package
            .folder
            .path()
            .join(format!("bin/{EMULATOR}{suffix}"));
        // With its permissions, which the archive keeps.
        sources::copy_file(&self.file, &file)?;
        package.add_notices(&self.file.with_file_name(notices::file(EMULATOR)))?;
        let readme =
            format!("# {name}\n\nPart of `{main}`, which installs it where it is needed.\n");
        fs::write(package.folder.path().join("README.md"), readme)?;
        Ok(package)
    }
}

fn built(text: &str) -> Result<Built> {
    // One target that is linked statically and one that is not are of the same platform.
    let mut platforms: Vec<_> = TARGETS.iter().map(|target| target.npm).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let accepted = platforms.join(", ");
    let (name, file) = text.split_once('=').with_context(|| {
        format!("`{text}` has no `=`; accepted: PLATFORM=PATH with one of {accepted}")
    })?;
    let platform = platforms
        .into_iter()
        .find(|platform| *platform == name)
        .with_context(|| format!("unknown platform {name:?}; accepted: {accepted}"))?;
    Ok(Built {
        platform,
        file: file.into(),
    })
}

/// `cargo xtask npm`.
pub(crate) fn run(workspace: &Path, target: &Path, options: &Options) -> Result<()> {
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => target.join("npm"),
    };
    let component = if options.no_component {
        None
    } else {
        let optimiser = match options.unoptimised {
            true => Optimiser::NONE,
            false => optimise::install(target)?,
        };
        Some(release::build(COMPONENT, workspace, target, &optimiser)?)
    };
    pack(
        workspace,
        target,
        &options.commands,
        component.as_deref(),
        None,
        &out,
    )
}

/// Writes the packages into the folder `out`: those of the emulator if there are commands, and that of
/// the component if it is given. The licences of third parties are beside a command, and in `notices`
/// for the component.
pub(crate) fn pack(
    workspace: &Path,
    target: &Path,
    commands: &[Built],
    component: Option<&[u8]>,
    notices: Option<&Path>,
    out: &Path,
) -> Result<()> {
    fs::create_dir_all(out)
        .with_context(|| format!("cannot create the folder {}", out.display()))?;
    if !commands.is_empty() {
        emulator(workspace, commands, out)?;
    }
    if let Some(component) = component {
        role(workspace, target, component, notices, out)?;
    }
    Ok(())
}

/// The emulator's package, and one for each command.
fn emulator(workspace: &Path, commands: &[Built], out: &Path) -> Result<()> {
    let mut package = Package::read(workspace, "emulator/npm")?;
    let name = package.name()?.to_owned();
    let mut platforms = Map::new();
    for command in commands {
        let platform = format!("{name}-{}", command.platform);
        command.package(&platform, &name, workspace)?.pack(out)?;
        platforms.insert(platform, VERSION.into());
    }
    package.set("optionalDependencies", Value::Object(platforms));
    package.pack(out)
}

/// The component's package.
fn role(
    workspace: &Path,
    target: &Path,
    component: &[u8],
    notices: Option<&Path>,
    out: &Path,
) -> Result<()> {
    let package = Package::read(workspace, "component/npm")?;
    if let Some(notices) = notices {
        package.add_notices(notices)?;
    }
    let tool = install(target, JCO)?.join("jco");
    let component_file = package.folder.path().join("component.wasm");
    fs::write(&component_file, component)?;
    must(
        Command::new(&tool)
            .args(["transpile", "--quiet", "--name", "component", "--out-dir"])
            .arg(package.folder.path().join("component"))
            .arg(&component_file),
    )?;
    fs::remove_file(&component_file)?;
    package.pack(out)
}

/// Installs a package of npm into `<target>/tools`, unless it is there. Returns the folder of its
/// commands.
pub(crate) fn install(target: &Path, package: &str) -> Result<PathBuf> {
    let folder = target.join("tools").join(package.replace('/', "-"));
    let commands = folder.join("node_modules/.bin");
    if !commands.exists() {
        must(
            Command::new("npm")
                .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
                .arg(&folder)
                .arg(package),
        )
        .with_context(|| format!("cannot install {package}; it needs Node.js and npm"))?;
    }
    Ok(commands)
}

/// A package in a folder of its own, before it is packed.
struct Package {
    folder: TempDir,
    manifest: Map<String, Value>,
}

impl Package {
    /// A package with this manifest, and the licences.
    fn new(workspace: &Path, manifest: Map<String, Value>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            sources::copy_file(&workspace.join(licence), &folder.path().join(licence))?;
        }
        let mut package = Self { folder, manifest };
        package.set("version", VERSION.into());
        Ok(package)
    }

    /// The package whose sources are in this folder.
    fn read(workspace: &Path, folder: &str) -> Result<Self> {
        let from = workspace.join(folder);
        let manifest = from.join(MANIFEST);
        let text = fs::read_to_string(&manifest)
            .with_context(|| format!("cannot read {}", manifest.display()))?;
        let fields = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a JSON object", manifest.display()))?;
        let package = Self::new(workspace, fields)?;
        for file in sources::files(&from)? {
            sources::copy_file(&from.join(&file), &package.folder.path().join(&file))?;
        }
        Ok(package)
    }

    /// Adds the licences of third parties, if the file is there.
    fn add_notices(&self, file: &Path) -> Result<()> {
        if file.exists() {
            let to = self.folder.path().join("LICENSE-THIRD-PARTY.txt");
            sources::copy_file(file, &to)?;
        }
        Ok(())
    }

    fn name(&self) -> Result<&str> {
        let name = self.manifest.get("name").and_then(Value::as_str);
        name.context("a package.json has no `name`")
    }

    fn set(&mut self, key: &str, value: Value) {
        self.manifest.insert(key.into(), value);
    }

    /// Writes the archive into the folder `out`.
    fn pack(&self, out: &Path) -> Result<()> {
        let manifest = serde_json::to_string_pretty(&self.manifest)?;
        fs::write(self.folder.path().join(MANIFEST), manifest)?;
        must(
            Command::new("npm")
                .args(["pack", "--silent", "--pack-destination"])
                .arg(out)
                .current_dir(self.folder.path()),
        )
    }
}
