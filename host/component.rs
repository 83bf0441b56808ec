//! How the component is built: by a cargo of its own, in an environment of its own.
//!
//! The host's build and `cargo xtask` share this file, so that what the host embeds and what a
//! release carries are the same bytes.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "component";

/// Builds the component of `workspace` in the folder `target`, with cargo's home at `home`. Gives its path.
pub(crate) fn build(
    workspace: &Path,
    home: &Path,
    target: &Path,
    arguments: &[&str],
) -> Result<PathBuf, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").ok_or("CARGO is not set; run this by cargo")?;
    let status = clean(Command::new(cargo))
        .current_dir(workspace)
        .env("CARGO_HOME", home)
        .env("CARGO_ENCODED_RUSTFLAGS", remap(home)?)
        .args([
            "build",
            "--package",
            "ec2-role-component",
            "--target",
            TARGET,
            "--profile",
            PROFILE,
        ])
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .status()?;
    if !status.success() {
        return Err("the component could not be built; its errors stand above".into());
    }
    Ok(target
        .join(TARGET)
        .join(PROFILE)
        .join("ec2_role_component.wasm"))
}

/// Where cargo keeps its downloads.
pub(crate) fn cargo_home() -> Result<PathBuf, Box<dyn Error>> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
        .ok_or_else(|| "neither CARGO_HOME nor a home folder is known".into())
}

/// The compiler's flags. The component holds names of source files, where code may panic. Those of libraries
/// begin with cargo's home, which is another on every machine: with these flags all begin alike.
fn remap(home: &Path) -> Result<String, Box<dyn Error>> {
    let sources = home.join("registry/src");
    // There is none where the libraries are vendored.
    let Ok(registries) = fs::read_dir(&sources) else {
        return Ok(String::new());
    };
    let mut flags = Vec::new();
    for registry in registries {
        let path = registry?.path();
        let path = path
            .to_str()
            .ok_or_else(|| format!("the path {} is not UTF-8", path.display()))?;
        flags.push(format!("--remap-path-prefix={path}=/registry"));
    }
    flags.sort_unstable();
    Ok(flags.join("\x1f"))
}

/// Takes out of the environment what is meant for the host's own build. The jobserver, the
/// toolchain, and where cargo keeps its downloads stay.
pub(crate) fn clean(mut command: Command) -> Command {
    const PREFIXES: [&str; 4] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "RUSTC_"];
    const NAMES: [&str; 10] = [
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_LINKS",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "RUSTC",
        "RUSTDOC",
        "TARGET",
    ];
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let cargos =
            PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || NAMES.contains(&text);
        // Set by cargo for a build script: what is built, and for what.
        let package = text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_CFG_")
            || text.starts_with("CARGO_FEATURE_");
        if cargos || package {
            command.env_remove(&name);
        }
    }
    command
}
