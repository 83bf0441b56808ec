//! Builds the component, which the library embeds, or takes the one that `EC2_ROLE_COMPONENT` names:
//! the commands of a release embed its component, which is optimised further.
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
    let workspace = host.parent().ok_or("the host has no parent folder")?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    // OUT_DIR is <target>/[<triple>/]<profile>/build/<package>-<hash>/out.
    let profile = out
        .ancestors()
        .nth(3)
        .ok_or("OUT_DIR is not where cargo puts it")?;
    let target = profile.with_file_name("component");

    let embedded = out.join("ec2_role_component.wasm");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={GIVEN}");
    if let Some(given) = env::var_os(GIVEN).map(PathBuf::from) {
        println!("cargo::rerun-if-changed={}", text(&given)?);
        fs::copy(&given, embedded).map_err(|error| {
            format!(
                "cannot read {}, which {GIVEN} names: {error}",
                given.display()
            )
        })?;
        return Ok(());
    }
    ensure_target()?;
    let built = component::build(
        workspace,
        &component::cargo_home()?,
        &target,
        "ec2-role-component",
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
