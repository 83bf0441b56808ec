//! Provides the component that the library embeds:
//!
//! * the one that `EC2_ROLE_COMPONENT` names, if the variable is set: the commands of a release embed
//!   its component, which is optimised further;
//! * in a clone of the repository, one that is built from the sources beside the host;
//! * otherwise the one that the package of this crate contains.
//!
//! A nested cargo builds it in a target folder of its own: cargo has no stable way to depend on an
//! artefact for another target, and in a common folder the two would wait for each other's lock. All
//! profiles and features of the host share the folder, so the component is built once. The nested
//! cargo gets a clean environment, because flags for the host (its processor, coverage
//! instrumentation, a linker) are wrong for WebAssembly.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use component::{TARGET, clean};

mod component;

/// The variable with the path of a component to embed.
const GIVEN: &str = "EC2_ROLE_COMPONENT";
/// The package of the component.
const COMPONENT: &str = "ec2-role-component";
/// The file that the library embeds, in the output folder and in the package of this crate.
const EMBEDDED: &str = "ec2_role_component.wasm";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let host = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let embedded = out.join(EMBEDDED);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={GIVEN}");
    if let Some(given) = env::var_os(GIVEN).map(PathBuf::from) {
        copy(&given, &embedded).map_err(|error| format!("{error}, which {GIVEN} names"))?;
    } else if let Some(workspace) = repository(&host) {
        from_sources(workspace, &out, &embedded)?;
    } else {
        copy(&host.join(EMBEDDED), &embedded)
            .map_err(|error| format!("{error}; the package of this crate contains that file"))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", text(from)?);
    fs::copy(from, to).map_err(|error| format!("cannot read {}: {error}", from.display()))?;
    Ok(())
}

/// The repository of which this host is part, if it is no package of its own.
fn repository(host: &Path) -> Option<&Path> {
    let workspace = host.parent()?;
    let manifest = fs::read_to_string(workspace.join("component/Cargo.toml")).ok()?;
    let is_ours = manifest.contains(&format!("name = \"{COMPONENT}\""));
    is_ours.then_some(workspace)
}

fn from_sources(workspace: &Path, out: &Path, embedded: &Path) -> Result<(), Box<dyn Error>> {
    // OUT_DIR is <target>/[<triple>/]<profile>/build/<package>-<hash>/out.
    let profile = out
        .ancestors()
        .nth(3)
        .ok_or("OUT_DIR is not where cargo puts it")?;
    let target = profile.with_file_name("component");
    ensure_target()?;
    let built = component::build(
        workspace,
        &component::cargo_home()?,
        &target,
        COMPONENT,
        &[],
    )?;
    fs::write(embedded, built.content)?;
    for source in sources(&built.sources)? {
        println!("cargo::rerun-if-changed={source}");
    }
    for file in [
        "Cargo.lock",
        "Cargo.toml",
        "component/Cargo.toml",
        ".cargo/config.toml",
    ] {
        println!("cargo::rerun-if-changed={}", text(&workspace.join(file))?);
    }
    Ok(())
}

/// Installs the Rust target for WebAssembly if it is missing.
fn ensure_target() -> Result<(), Box<dyn Error>> {
    if has_target()? {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", TARGET]);
    let mut by_hand = format!("rustup target add {TARGET}");
    if let Ok(toolchain) = env::var("RUSTUP_TOOLCHAIN") {
        add.args(["--toolchain", &toolchain]);
        by_hand = format!("{by_hand} --toolchain {toolchain}");
    }
    println!("cargo::warning=the Rust target {TARGET} is missing; running `{by_hand}`");
    let added = add.status().is_ok_and(|status| status.success());
    if added && has_target()? {
        return Ok(());
    }
    Err(
        format!("the component needs the Rust target {TARGET}; run `{by_hand}`, then build again")
            .into(),
    )
}

fn has_target() -> Result<bool, Box<dyn Error>> {
    let output = clean(Command::new(variable("RUSTC")?))
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()?;
    let folder = String::from_utf8(output.stdout)?;
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}

/// The source files of the artefact, from the list that cargo writes beside it.
fn sources(list: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let list = fs::read_to_string(list)?;
    let (_, files) = list
        .split_once(": ")
        .ok_or("cargo's list of source files has an unexpected format")?;
    // Spaces in paths are escaped.
    Ok(files
        .trim()
        .replace("\\ ", "\0")
        .split(' ')
        .map(|file| file.replace('\0', " "))
        .collect())
}

fn text(path: &Path) -> Result<&str, Box<dyn Error>> {
    path.to_str()
        .ok_or_else(|| format!("the path {} is not UTF-8", path.display()).into())
}

fn variable(name: &str) -> Result<OsString, Box<dyn Error>> {
    env::var_os(name).ok_or_else(|| format!("cargo does not set {name}").into())
}
